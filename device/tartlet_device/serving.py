"""Which bundles serve and how far they are trusted: the record on disk, and its steps.

A bundle is *received* while its files lie in ``incoming/``, *verified* once it lies in
``bundles/``, *tested* in every process that loads it, *active* when the record names it, and
*confirmed* when it was healthy for as long as its push asked for. Only the last two are written
down: the first two are places, and a test counts for the process that passed it.

Every step here is a pure function to the next record, which one rename puts in place.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from tartlet_shared import errors
from tartlet_shared.manifest import Sha256

MOST_STARTS = 3
"""A model gets so many starts of the daemon to be confirmed in."""

Count = Annotated[int, msgspec.Meta(ge=0)]


class Probation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model must still do to be confirmed.

    Attributes:
        period_s: be healthy for so long without a break, in time that the daemon is up.
        latency_ms: at most so long may an inference take, in the median; None for any time.
        starts: of the daemon since the model became active.
    """

    period_s: Annotated[float, msgspec.Meta(gt=0)]
    latency_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    starts: Count = 0


class GivenUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that the device left by itself, and why."""

    digest: Sha256
    why: str


class Serving(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The record. One without the last two fields is what older daemons wrote, and read.

    Attributes:
        current: digest of the bundle that serves.
        previous: digest of the one that a rollback returns to.
        probation: of the current one; None once it is confirmed.
        given_up: the last one that the device left by itself, until another is activated.
    """

    current: Sha256 | None = None
    previous: Sha256 | None = None
    probation: Probation | None = None
    given_up: GivenUp | None = None

    def activated(self, digest: str, probation: Probation | None) -> Serving:
        """A tested bundle becomes the current one; nothing changes where it is already."""
        if self.current == digest:
            return self
        # What to return to is the last one that was confirmed, if any was.
        confirmed = self.current if self.probation is None else None
        choice = (each for each in (confirmed, self.previous, self.current) if each != digest)
        return Serving(
            current=digest,
            previous=next((each for each in choice if each is not None), None),
            probation=probation,
        )

    def confirmed(self, digest: str) -> Serving:
        """The probation of this bundle is over; nothing changes where another one serves."""
        if self.current != digest or self.probation is None:
            return self
        return msgspec.structs.replace(self, probation=None)

    def started(self) -> Serving:
        """The daemon starts; that counts while the current bundle is not confirmed."""
        if self.probation is None:
            return self
        counted = msgspec.structs.replace(self.probation, starts=self.probation.starts + 1)
        return msgspec.structs.replace(self, probation=counted)

    def left(self, digest: str, why: str) -> Serving:
        """This bundle was not healthy: the previous one serves again, and no rollback leads back.

        Nothing changes where another one serves, it was confirmed, or there is no previous one.
        """
        if self.current != digest or self.probation is None or self.previous is None:
            return self
        return Serving(current=self.previous, given_up=GivenUp(digest, why))

    def rolled_back(self) -> Serving:
        """The current and the previous bundle are swapped, because somebody wants it.

        Raises:
            NothingToRollBackTo: there is no previous one.
        """
        if self.previous is None:
            raise errors.NothingToRollBackTo(
                "no model served before this one",
                hint="push and activate another model with `tartlet push`",
            )
        return Serving(current=self.previous, previous=self.current)

    @property
    def confirmed_digest(self) -> str | None:
        """The bundle that was confirmed last: the current one, or while that is on probation the
        previous one."""
        return self.current if self.probation is None else self.previous

    @property
    def out_of_starts(self) -> bool:
        """Whether the current bundle had its chances to be confirmed."""
        return self.probation is not None and self.probation.starts > MOST_STARTS

"""How far a device trusts the model that serves: confirmed, or on probation."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tartlet_shared.manifest import Sha256

CONFIRM_S = 60.0
"""How long a model must be healthy before it is confirmed, unless the push says otherwise."""

ConfirmSeconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]
Milliseconds = Annotated[float, msgspec.Meta(gt=0)]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Of the model that was committed last.

    Attributes:
        digest: which one.
        confirmed: whether it was healthy for long enough; then the next three are of no meaning.
        healthy_s, period_s: for so long it has been healthy without a break; of so long.
        starts: of the daemon since it became active.
        fault: why the period began again, where there was nothing to go back to.
        given_up, why: the model that the device last left by itself, until another is activated.
    """

    digest: Sha256
    confirmed: bool
    healthy_s: float = 0.0
    period_s: float = 0.0
    starts: int = 0
    fault: str = ""
    given_up: Sha256 | None = None
    why: str = ""

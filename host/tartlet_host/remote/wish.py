"""What the user wants of a push; plain data, so that a rollout can keep it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tartlet_host.remote.rollout import Terms
from tartlet_shared.push_messages import Have


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the user wants.

    Attributes:
        activate, confirm_s, latency_ms, allow_older: see `tartlet_host.remote.rollout.Terms`.
        wait: until it is confirmed.
        bytes_per_s: to send at most, to all devices together; None for no limit.
        sign: sign it again, even if it is signed.
        key: name of the key to sign with; None for the one that fits.
    """

    activate: bool = True
    confirm_s: float = 0.0
    latency_ms: float | None = None
    allow_older: bool = False
    wait: bool = True
    bytes_per_s: float | None = None
    sign: bool = False
    key: str | None = None

    def terms(self, sign: Callable[[Have], bytes] | None = None) -> Terms:
        """For a push; ``sign`` as in `Terms`."""
        return Terms(
            activate=self.activate,
            confirm_s=self.confirm_s,
            latency_ms=self.latency_ms,
            allow_older=self.allow_older,
            sign=sign,
        )

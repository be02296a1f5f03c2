"""A finding of the doctor."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["ok", "warning", "failed"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One finding.

    Attributes:
        name: what was looked at.
        state: "failed" means that tartlet does not work until it is mended.
        what: what was found.
        hint: what to do, empty where there is nothing to do.
    """

    name: str
    state: State
    what: str
    hint: str = ""

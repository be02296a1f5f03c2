"""Keys of ``[web]``: the live page, and the requests that programs make."""

from __future__ import annotations

from typing import Annotated

import msgspec


class WebSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where it is served.

    Attributes:
        enabled: whether it is served at all. On, since only who may talk to the daemon reaches the
            socket.
        socket: of whoever may talk to the daemon; None for ``web.sock`` beside the daemon's.
        port: also on this port of 127.0.0.1, for any program on this machine; None for none.
    """

    enabled: bool = True
    socket: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None

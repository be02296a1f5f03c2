"""Who may ask: the page itself, and programs; not a web site that happens to be open beside it.

Whoever can connect may ask, as with the daemon's own socket. But a browser connects for every site
that it shows. A site may point its own name at this address (DNS rebinding), which its ``Host``
gives away; or send requests here from its own pages, which ``Origin`` and ``Sec-Fetch-Site`` do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

from tartlet_device.web.exchange import Refused

_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_OWN = ("same-origin", "none")  # "none": typed by a person, or a bookmark


def check(method: str, path: str, headers: Mapping[str, str]) -> None:
    """Let a request pass.

    Args:
        headers: by lower-case name.

    Raises:
        Refused: it comes from elsewhere.
    """
    host = headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise Refused(
            HTTPStatus.MISDIRECTED_REQUEST,
            "wrong-host",
            f"the request is for the host {host!r}",
            hint="ask for http://localhost or http://127.0.0.1",
        )
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        raise _foreign(f"the request comes from a page of {origin}")
    site = headers.get("sec-fetch-site", "none")
    followed = method == "GET" and path == "/" and headers.get("sec-fetch-mode") == "navigate"
    # A link to the page may be followed from anywhere; there is nothing in the page itself.
    if site not in _OWN and not followed:
        raise _foreign("the request comes from a page of another site")


def _foreign(what: str) -> Refused:
    return Refused(
        HTTPStatus.FORBIDDEN, "foreign-site", what, hint="only this page and programs may ask"
    )

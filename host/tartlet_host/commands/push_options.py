"""What every push can be told, to one device or to many: options that become a `Wish`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tartlet_shared.confirmation_messages import CONFIRM_S

if TYPE_CHECKING:
    from tartlet_host.remote.pace import Pace
    from tartlet_host.remote.rollout import Terms
    from tartlet_host.remote.wish import Wish
    from tartlet_shared.bundle import Bundle

_F = TypeVar("_F", bound=Callable[..., Any])
_OPTIONS = (
    click.option("--no-activate", is_flag=True, help="Store it; keep the present model serving."),
    click.option(
        "--confirm",
        "confirm_s",
        type=click.FloatRange(0, 86400),
        default=CONFIRM_S,
        show_default=True,
        metavar="SECONDS",
        help="It must be healthy for so long, or the device goes back by itself; 0 for none.",
    ),
    click.option(
        "--max-latency",
        "latency_ms",
        type=click.FloatRange(0, min_open=True),
        metavar="MS",
        help="An inference may take so long meanwhile, in the median.",
    ),
    click.option("--no-wait", is_flag=True, help="Do not wait until it is confirmed."),
    click.option(
        "--limit", metavar="RATE", help="Send no faster in all, bytes per second: 500K, 2M."
    ),
    click.option("--sign", is_flag=True, help="Sign it on this computer, even if it is signed."),
    click.option("--key", help="The key to sign with.  [default: one that the device trusts]"),
    click.option(
        "--allow-older", is_flag=True, help="Also a release older than the one confirmed last."
    ),
)


def wishes(function: _F) -> _F:
    """The options; the command gets ``wish``, a `tartlet_host.remote.wish.Wish`."""

    @functools.wraps(function)
    def command(
        *,
        no_activate: bool,
        confirm_s: float,
        latency_ms: float | None,
        no_wait: bool,
        limit: str | None,
        sign: bool,
        key: str | None,
        allow_older: bool,
        **others: Any,
    ) -> Any:
        from tartlet_host.remote.pace import parse_rate
        from tartlet_host.remote.wish import Wish

        wish = Wish(
            activate=not no_activate,
            confirm_s=confirm_s,
            latency_ms=latency_ms,
            wait=not no_wait,
            bytes_per_s=None if limit is None else parse_rate(limit),
            sign=sign or key is not None,
            key=key,
            allow_older=allow_older,
        )
        return function(wish=wish, **others)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command  # type: ignore[return-value]


def terms_for_one(wish: Wish, bundle: Bundle) -> Terms:
    """The terms of a push to one device, whose own keys decide which of ours signs it."""
    from tartlet_host.commands.key import signing

    return wish.terms(signing(bundle, wish.key, always=wish.sign))


def terms_for_all(wish: Wish, bundle: Bundle) -> Terms:
    """The same to many: signed once, now, if at all, so that a passphrase is asked for once."""
    from tartlet_host.commands.key import signed

    if not wish.sign:
        return wish.terms()
    record = signed(bundle, wish.key)
    return wish.terms(lambda have: record)


def pace(wish: Wish) -> Pace | None:
    """How fast to send at most; None for no limit."""
    from tartlet_host.remote.pace import Pace

    return None if wish.bytes_per_s is None else Pace(wish.bytes_per_s)

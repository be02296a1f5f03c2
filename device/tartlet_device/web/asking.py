"""Requests of the web, served as those of a laptop are."""

from __future__ import annotations

from typing import TypeVar

from tartlet_device import handlers
from tartlet_device.handlers import Device
from tartlet_device.web.exchange import Request
from tartlet_shared import errors, messages
from tartlet_shared.messages import Failure, Reply, RequestMessage

_ReplyT = TypeVar("_ReplyT", bound=Reply)


def one(device: Device, request: RequestMessage, expected: type[_ReplyT]) -> _ReplyT:
    """The one reply to a request.

    Raises:
        TartletError: the daemon's reason why there is none.
    """
    (reply,) = handlers.answer(device, request)
    if isinstance(reply, Failure):
        raise messages.to_error(reply)
    if not isinstance(reply, expected):
        raise errors.TartletError(f"a {type(reply).__name__} instead of a {expected.__name__}")
    return reply


def number(request: Request, name: str, low: float, high: float) -> float | None:
    """A number of the query; None where it is not given.

    Raises:
        UsageError: it is none, or not from ``low`` to ``high``.
    """
    text = request.query.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise errors.UsageError(
            f"{name}={text!r} is no number from {low:g} to {high:g}", where=name
        )
    return value

"""An HTTP request and its response as values, and errors as responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from tartlet_shared import errors

JSON = "application/json"
RETRY_S = 2
"""After so long a camera or a model that was away may be back."""


@dataclass(frozen=True)
class Request:
    """What was asked.

    Attributes:
        method, path: such as "GET" and "/status".
        query: the last value of each key.
        headers: by lower-case name.
        body: all of it; empty where there is none.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def content_type(self) -> str:
        """Of the body, lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class FilePart:
    """Bytes ``start`` to ``start + length`` of a file."""

    path: Path
    start: int
    length: int


@dataclass(frozen=True)
class Response:
    """What is answered.

    Attributes:
        content: an iterator is sent piece by piece, and the connection closed after it.
        headers: beside those that every response has.
    """

    status: int = HTTPStatus.OK
    content_type: str = JSON
    content: bytes | FilePart | Iterator[bytes] = b""
    headers: tuple[tuple[str, str], ...] = ()


class Refused(Exception):
    """A request that HTTP itself has a word for."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        what: str,
        *,
        hint: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(what)
        self.status, self.code, self.what, self.hint = status, code, what, hint
        self.headers = headers


_STATUS: dict[type[errors.TartletError], HTTPStatus] = {
    # The first that an error is an instance of.
    errors.PictureUnreadable: HTTPStatus.BAD_REQUEST,
    errors.MessageTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.ProtocolError: HTTPStatus.BAD_REQUEST,
    errors.UsageError: HTTPStatus.BAD_REQUEST,
    errors.ConfigError: HTTPStatus.BAD_REQUEST,
    errors.StorageFull: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.BundleNotOnDevice: HTTPStatus.NOT_FOUND,
    errors.NothingToRollBackTo: HTTPStatus.CONFLICT,
    errors.SelfTestFailed: HTTPStatus.CONFLICT,
    # What is left of these two is a camera, its footage or a model that is away for now.
    errors.DeviceError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.FootageUnreadable: HTTPStatus.SERVICE_UNAVAILABLE,
}


def as_json(value: Any, *, status: int = HTTPStatus.OK) -> Response:
    """A value as JSON."""
    return Response(status=status, content=msgspec.json.encode(value) + b"\n")


def failed(error: errors.TartletError) -> Response:
    """An error as JSON: ``{error: {code, what, where, hint}}``."""
    status = next(
        (status for kind, status in _STATUS.items() if isinstance(error, kind)),
        HTTPStatus.INTERNAL_SERVER_ERROR,
    )
    retry = (("Retry-After", str(RETRY_S)),) if status == HTTPStatus.SERVICE_UNAVAILABLE else ()
    return _error(status, error.code, error.what, error.where, error.hint, retry)


def refused(error: Refused) -> Response:
    """A refusal as JSON, as `failed`."""
    return _error(error.status, error.code, error.what, "", error.hint, error.headers)


def _error(
    status: int,
    code: str,
    what: str,
    where: str,
    hint: str,
    headers: tuple[tuple[str, str], ...],
) -> Response:
    content = {"error": {"code": code, "what": what, "where": where, "hint": hint}}
    return Response(status=status, content=msgspec.json.encode(content) + b"\n", headers=headers)

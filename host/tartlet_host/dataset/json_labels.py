"""JSON label files into typed structs, with errors that name the line."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from tartlet_shared import errors

_T = TypeVar("_T")


def decode(content: bytes, kind: type[_T], *, where: str, what: str, hint: str) -> _T:
    """Decode a JSON file.

    Args:
        content: the file; a byte order mark is passed over.
        kind: the struct it should be.
        where: the file, for errors.
        what, hint: what the error says first, and what to do.

    Raises:
        DatasetError: it is not JSON, or not of that kind.
    """
    try:
        return msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        byte = re.search(r"\(byte (\d+)\)", str(error))
        line = 0 if byte is None else content.count(b"\n", 0, int(byte[1])) + 1
        raise errors.DatasetError(
            f"{what}: {error}", where=f"{where}, line {line}" if line else where, hint=hint
        ) from error

"""JSON without a second meaning: what is signed or hashed is read in one way by every reader."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from tartlet_shared import errors

_Record = TypeVar("_Record", bound=msgspec.Struct)


def encode(record: msgspec.Struct) -> bytes:
    """JSON, keys in order of definition, indented for people to read."""
    return _written(record)


def decode(content: bytes, kind: type[_Record], *, where: str, limit: int, hint: str) -> _Record:
    """Parse a record; written anew, it must give the same bytes.

    So a key that stands twice, other spaces, escapes or numbers written otherwise are refused: two
    readers cannot understand two things. A whole number may stand for a float, and a key that has
    a default may be missing, as older versions wrote them.

    Args:
        content: the bytes.
        kind: the record's type.
        where: the file, for messages.
        limit: bytes that are read at most.
        hint: what to do about a bad one.

    Raises:
        BundleCorrupt: too long, not such a record, or not in the one form; the text names the
            field.
    """
    if len(content) > limit:
        raise errors.BundleCorrupt(
            f"{len(content)} bytes, which is larger than {limit}", where=where, hint=hint
        )
    try:
        record = msgspec.json.decode(content, type=kind)
        # Without the type: its floats would all be written as such. Surrogates pass the decoder
        # and cannot be encoded.
        written = _written(msgspec.json.decode(content))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise errors.BundleCorrupt(f"is not valid: {error}", where=where, hint=hint) from error
    if written != content:
        raise errors.BundleCorrupt(
            "is not in the one form that it must have: a key stands twice, or spaces, texts or "
            "numbers are written in another way",
            where=where,
            hint=hint,
        )
    return record


def _written(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"

"""The parts of a ``multipart/form-data`` body (RFC 7578), and how to write one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tartlet_shared import errors

MOST_PARTS = 16


@dataclass(frozen=True)
class Part:
    """One field.

    Attributes:
        name: of the field.
        file_name: None where the field is no file.
        content_type: empty where none was said.
        content: its bytes.
    """

    name: str
    file_name: str | None
    content_type: str
    content: bytes


def parse(body: bytes, content_type: str) -> tuple[Part, ...]:
    """The parts, in order.

    Args:
        content_type: the header, with the boundary.

    Raises:
        MessageMalformed: it is no such body.
    """
    boundary = _parameter(content_type, "boundary")
    if not boundary:
        raise errors.MessageMalformed("multipart/form-data without a boundary")
    delimiter = b"\r\n--" + boundary.encode(errors="replace")
    # The first delimiter may stand at the very start, without the end of a line before it.
    _, *sections = (b"\r\n" + body).split(delimiter, MOST_PARTS + 1)
    if not sections:
        raise errors.MessageMalformed("the boundary of multipart/form-data does not occur in it")
    parts: list[Part] = []
    for section in sections:
        if section.startswith(b"--"):
            return tuple(parts)
        head, separator, content = section.partition(b"\r\n\r\n")
        if not separator:
            raise errors.MessageMalformed("a part of multipart/form-data has no content")
        parts.append(_part(head.partition(b"\r\n")[2], content))
    raise errors.MessageMalformed(
        f"multipart/form-data that does not end, or has more than {MOST_PARTS} parts"
    )


def write(parts: Sequence[Part], boundary: str) -> bytes:
    """A body with these parts; ``boundary`` must not occur in them."""
    lines = []
    for part in parts:
        file_name = "" if part.file_name is None else f'; filename="{part.file_name}"'
        lines.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{part.name}"{file_name}\r\n'
            f"Content-Type: {part.content_type}\r\n\r\n".encode()
        )
        lines += [part.content, b"\r\n"]
    return b"".join((*lines, f"--{boundary}--\r\n".encode()))


def _part(head: bytes, content: bytes) -> Part:
    headers = {}
    for line in head.decode(errors="replace").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value
    disposition = headers.get("content-disposition", "")
    return Part(
        name=_parameter(disposition, "name") or "",
        file_name=_parameter(disposition, r"filename\*?"),
        content_type=headers.get("content-type", "").partition(";")[0].strip().lower(),
        content=content,
    )


def _parameter(header: str, name: str) -> str | None:
    found = re.search(rf';\s*{name}\s*=\s*(?:"([^"]*)"|([^;\s"]+))', header, re.IGNORECASE)
    if found is None:
        return None
    quoted, plain = found.groups()
    return plain if quoted is None else quoted

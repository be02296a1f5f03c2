"""The text inside a safetensors file that says what its tensors are."""

from __future__ import annotations

import json


def read_metadata(content: bytes, form: str) -> str:
    """The description in a file of the given format.

    The library gives the metadata only for a path, and the file might change between two reads. A
    file is 8 bytes of header length, then the header as JSON, then the tensors.

    Raises:
        ValueError: the file is cut off, or of another format.
        KeyError, TypeError: its header is not one of ours.
    """
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > len(content) - 8:
        raise ValueError("the file ends within its header")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    if metadata["format"] != form:
        raise ValueError(f"its format is {metadata['format']!r}, not {form!r}")
    description = metadata["tartlet"]
    if not isinstance(description, str):
        raise TypeError("its description is not text")
    return description

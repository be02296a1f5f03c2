"""XML label files, with errors that name the line."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from tartlet_shared import errors


def parse(content: bytes, *, where: str) -> ET.Element:
    """The root element of an XML file.

    Raises:
        DatasetError: it is not XML.
    """
    try:
        return ET.fromstring(content)
    except ET.ParseError as error:
        line, column = error.position
        raise errors.DatasetError(
            f"not XML: {error.msg.partition(':')[0]}, at column {column + 1}",
            where=f"{where}, line {line}",
            hint="export the labels again, or take the file out",
        ) from error
    except (LookupError, ValueError) as error:  # an encoding that is unknown or not kept to
        raise errors.DatasetError(
            f"not XML in the encoding that it names: {error}",
            where=where,
            hint="save it as UTF-8",
        ) from error


def text(element: ET.Element, name: str) -> str:
    """The text of a child, without blanks around it; empty where there is none."""
    return (element.findtext(name) or "").strip()


def number(value: str | None, what: str, *, where: str) -> float:
    """A number of a label file.

    Raises:
        DatasetError: it is missing or not a number.
    """
    try:
        return float(value or "")
    except ValueError as error:
        raise errors.DatasetError(
            f"{what} is {value!r}, not a number" if value else f"{what} is missing",
            where=where,
            hint="export the labels again, or correct the file",
        ) from error


def whole(value: str | None, what: str, *, where: str) -> int:
    """A whole number of a label file, written with or without decimals.

    Raises:
        DatasetError: it is missing or no such number.
    """
    found = number(value, what, where=where)
    if not math.isfinite(found) or found != int(found):
        raise errors.DatasetError(
            f"{what} is {value!r}, not a whole number",
            where=where,
            hint="export the labels again, or correct the file",
        )
    return int(found)

"""What the commands that talk to a device have in common."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_host.remote.authenticate import Ask
    from tartlet_host.remote.session import Session

_F = TypeVar("_F", bound=Callable[..., Any])


def device_argument(function: _F) -> _F:
    """``[DEVICE]``: a name, an address, or nothing where only one device is known."""
    return click.argument("device", required=False)(function)


def json_option(function: _F) -> _F:
    """``--json``."""
    option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    return option(function)


def data_option(purpose: str) -> Callable[[_F], _F]:
    """``--data``, required: the labelled pictures, said with what they are for."""
    return click.option(
        "--data",
        "dataset",
        required=True,
        type=click.Path(path_type=Path),
        help=f"{purpose}: a folder, a .tar or a label file, of any format in docs/data.md.",
    )


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def say(text: str = "") -> None:
    """Something for people that is not the result: standard error."""
    click.echo(text, err=True)


def asking() -> Ask | None:
    """Asks for a password without showing it; None where nobody sits at the terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return lambda prompt: str(click.prompt(prompt.rstrip(": "), hide_input=True, err=True))


@contextlib.contextmanager
def session(device: str | None) -> Iterator[Session]:
    """An open conversation with the device that the user means."""
    from tartlet_host.remote.session import find_device, open_session

    with open_session(find_device(device), ask=asking()) as opened:
        yield opened


def file_and_device(
    first: str | None, second: str | None, *, file_first: bool
) -> tuple[Path | None, str | None]:
    """Tell a file from a device where either may be left out.

    Two words are what their places say. A single word is the device if one of that name was
    added or it has an ``@``, else the file if there is one, else whatever comes first.

    Args:
        first, second: the words, from the left.
        file_first: whether the file's place is the first.

    Returns:
        The file and the device.
    """
    if first is not None and second is not None:
        return (Path(first), second) if file_first else (Path(second), first)
    if first is None:
        return None, None
    from tartlet_host.remote import inventory

    is_device = "@" in first or first in inventory.load(inventory.default_path())
    if is_device or (not file_first and not Path(first).exists() and not _like_file(first)):
        return None, first
    return Path(first), None


def read_file(path: Path) -> bytes:
    """A picture's bytes.

    Raises:
        PictureUnreadable: there is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.PictureUnreadable(
            f"cannot be read: {error.strerror}", where=str(path)
        ) from error


def write_file(path: Path, content: bytes) -> None:
    """Write a result: all of it or nothing.

    Raises:
        UsageError: it cannot be written there.
    """
    from tartlet_host.files import write_atomically

    try:
        write_atomically(path, content)
    except OSError as error:
        raise errors.UsageError(
            f"cannot be written: {error.strerror}",
            where=str(path),
            hint="choose another place with -o",
        ) from error


def size(count: float) -> str:
    """Bytes for people: ``1.2 MB``."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def duration(seconds: float) -> str:
    """Seconds for people: ``42 s``, ``3 min``, ``5.0 h``, ``12 days``."""
    for limit, unit, length in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return (
                f"{seconds / length:.1f} {unit}"
                if unit == "h"
                else f"{seconds / length:.0f} {unit}"
            )
    return f"{seconds / 86400:.0f} days"


def _like_file(word: str) -> bool:
    return Path(word).suffix.lower() in (".jpg", ".jpeg", ".png") or "/" in word

"""What the commands that talk to a device have in common."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_host.remote.authenticate import Ask
    from tartlet_host.remote.lasting import LastingSession
    from tartlet_host.remote.session import Session

_F = TypeVar("_F", bound=Callable[..., Any])


def device_argument(function: _F) -> _F:
    """``[DEVICE]``: a name, an address, or nothing where only one device is known."""
    return click.argument("device", required=False, shell_complete=device_names)(function)


def device_names(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """For the Tab key: devices that were added; none where that cannot be read."""
    from tartlet_host.remote import inventory

    with contextlib.suppress(errors.TartletError, OSError):
        known = inventory.load(inventory.default_path())
        return [CompletionItem(name) for name in sorted(known) if name.startswith(incomplete)]
    return []


def device_names_or_files(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The same, where a file may stand too."""
    return [*device_names(ctx, param, incomplete), CompletionItem(incomplete, type="file")]


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


@contextlib.contextmanager
def lasting_session(
    device: str | None, passing: tuple[type[errors.TartletError], ...] = ()
) -> Iterator[LastingSession]:
    """The same, opened again when it was lost.

    Args:
        device: which one the user means.
        passing: further errors after which it is tried again.
    """
    from tartlet_host.remote.lasting import LOST, LastingSession
    from tartlet_host.remote.session import find_device, open_session

    ask = asking()
    remembered = None if ask is None else Remembered(ask)
    with LastingSession(
        lambda: open_session(find_device(device), ask=remembered),
        passing=LOST + passing,
        tell=say,
    ) as lasting:
        if remembered is not None:
            remembered.again = True
        yield lasting


class Remembered:
    """A person's answers, given again where nobody may be there any more; in memory only."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._answers: dict[str, str] = {}
        self.again = False

    def __call__(self, prompt: str) -> str:
        if not (self.again and prompt in self._answers):
            self._answers[prompt] = self._ask(prompt)
        return self._answers[prompt]


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

    with writing(path):
        write_atomically(path, content)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what a disk refuses into the user's choice of a place.

    Raises:
        UsageError: it cannot be written there.
    """
    try:
        yield
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

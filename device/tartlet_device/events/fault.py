"""A disk that does not take anything at the moment: told once, forgotten once it works again."""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)


class Fault:
    """Why a part does not do its work; None while it does."""

    def __init__(self, part: str) -> None:
        """
        Args:
            part: what it is about, for the log: "clips".
        """
        self._part = part
        self._text: str | None = None

    @property
    def text(self) -> str | None:
        """In words; None while all is well."""
        return self._text

    def set(self, error: BaseException | str) -> None:
        """It failed. Goes to the log if the reason is a new one."""
        text = _words(error)
        if text != self._text:
            _log.warning("%s: %s", self._part, text)
            self._text = text

    def clear(self) -> None:
        """It works."""
        if self._text is not None:
            _log.info("%s: works again", self._part)
            self._text = None


def _words(error: BaseException | str) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__

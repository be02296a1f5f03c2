"""Models are loaded in child processes first: what one that died says about its model."""

from __future__ import annotations

import os
import signal

from tartlet_shared import errors

_SIGNAL_ERRORS: dict[int, tuple[type[errors.TartletError], str, str]] = {
    signal.SIGILL: (
        errors.RuntimeUnavailable,
        "the inference runtime uses instructions that this processor does not have",
        "push the model for the other runtime, or install another version of this one",
    ),
    signal.SIGKILL: (
        errors.SelfTestFailed,
        "the trial of the model was killed, most likely for lack of memory",
        "push a smaller model, or stop other programs on the device",
    ),
}


def killed(code: int, *, where: str) -> errors.TartletError:
    """The error for a child that a signal ended; ``code``: its return code, negative."""
    kind, what, hint = _SIGNAL_ERRORS.get(
        -code,
        (
            errors.BundleCorrupt,
            f"the inference runtime crashed on this model ({signal.Signals(-code).name})",
            "package the model again; if it crashes again, push the one for the other runtime",
        ),
    )
    return kind(what, where=where, hint=hint)


def environment() -> dict[str, str]:
    """For a child, which must not tell systemd anything; and a crash's dump is of use to nobody."""
    return {
        key: value
        for key, value in os.environ.items()
        if key not in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "PYTHONFAULTHANDLER")
    }

"""Native libraries that chat on standard error behind Python's back."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def native_output_dropped() -> Iterator[None]:
    """Drop what native code writes to standard error; errors still arrive as exceptions.

    The TFLite runtime greets everyone who loads a model, in the middle of progress bars. Python's
    own standard error keeps working, on a copy of the original.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error to protect
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path of ours
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)

"""Chatter of native code is dropped; what Python says afterwards is not."""

from __future__ import annotations

import os

import pytest

from tartlet_host.quiet import native_output_dropped


def test_native_output_is_dropped_and_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    with native_output_dropped():
        os.write(2, b"INFO: chatter\n")
    os.write(2, b"kept\n")
    assert capfd.readouterr().err == "kept\n"


def test_an_error_passes_through(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="broken"), native_output_dropped():
        raise ValueError("broken")
    os.write(2, b"kept\n")
    assert capfd.readouterr().err == "kept\n"

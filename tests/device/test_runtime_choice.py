"""Which runtime fits which system, and what the installer is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tartlet_device import runtime_choice
from tartlet_shared import errors

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("python", "architecture", "bits", "wanted", "name"),
    [
        ((3, 11), "aarch64", 64, None, "litert"),
        ((3, 13), "aarch64", 64, None, "litert"),
        ((3, 13), "x86_64", 64, "litert", "litert"),
        ((3, 11), "aarch64", 64, "tflite", "tflite"),
        ((3, 11), "armv7l", 32, None, "tflite"),
        ((3, 11), "aarch64", 32, None, "tflite"),  # a 32-bit system on a 64-bit kernel
    ],
)
def test_a_runtime_is_chosen(python, architecture, bits, wanted, name):
    choice = runtime_choice.choose(python, architecture, bits=bits, wanted=wanted)
    assert choice.name == name
    assert f"Python {python[0]}.{python[1]}" in choice.reason or wanted == "tflite"


@pytest.mark.parametrize(
    ("python", "architecture", "bits", "wanted", "hint"),
    [
        ((3, 13), "aarch64", 64, "tflite", "litert"),
        ((3, 11), "armv7l", 32, "litert", "tflite"),
        ((3, 13), "armv7l", 32, None, "64-bit Raspberry Pi OS"),
        ((3, 15), "aarch64", 64, None, "Python 3.11 to 3.14"),
    ],
)
def test_where_there_is_none_it_says_what_to_do(python, architecture, bits, wanted, hint):
    with pytest.raises(errors.RuntimeUnavailable) as caught:
        runtime_choice.choose(python, architecture, bits=bits, wanted=wanted)
    assert hint in caught.value.hint


@pytest.mark.parametrize(("wanted", "code"), [([], 0), (["litert"], 0), (["other"], 68)])
def test_the_installer_asks_it_with_nothing_but_the_standard_library(wanted, code):
    # -S and -I: no site-packages, so neither numpy nor msgspec.
    program = (
        f"import sys; sys.path[:0] = [{str(ROOT / 'shared')!r}, {str(ROOT / 'device')!r}]; "
        "from tartlet_device.runtime_choice import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program, *wanted],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == code, done.stderr
    if code == 0:
        assert done.stdout.startswith("litert\t")
    else:
        assert "no other" in done.stderr

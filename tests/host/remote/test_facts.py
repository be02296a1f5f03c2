"""What a device says about itself, and what follows from it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tartlet_host.remote import facts, install
from tartlet_shared import errors
from tests.pi_facts import PI

SCRIPT = Path(__file__).parents[3] / "setup_pi.sh"


def test_this_machine_is_described_by_the_script_on_standard_input():
    done = subprocess.run(
        ["bash", "-s", "--", "--facts"],
        input=SCRIPT.read_text(),
        capture_output=True,
        text=True,
        check=True,
    )
    found = facts.parse(["Welcome to your Pi!", "", *done.stdout.splitlines()])
    assert found.bits == 64
    assert found.glibc > (2, 17)
    assert found.free_mb > 0


def test_half_an_answer_is_refused():
    with pytest.raises(errors.DeviceError) as caught:
        facts.parse(["distribution=debian", "codename=trixie"], where="pi")
    assert "--facts" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"refusal": "this is 'ubuntu'"}, errors.DeviceError, "ubuntu"),
        ({"bits": 32}, errors.RuntimeUnavailable, "32-bit"),
    ],
)
def test_a_system_that_cannot_be_used_is_refused_before_anything_is_sent(change, error, words):
    with pytest.raises(error) as caught:
        install.check(replace(PI, **change), install.Choices())
    assert words in str(caught.value)


def test_a_full_disk_is_refused():
    install.check_space(PI)
    with pytest.raises(errors.StorageFull):
        install.check_space(replace(PI, free_mb=100))


OUTPUTS = ("mqtt", "metrics")
BOOKWORM = {"python": (3, 11), "numpy": "1.24.2"}


@pytest.mark.parametrize(
    ("change", "choices", "extras"),
    [
        ({}, {}, ["litert", *OUTPUTS, "opencv"]),
        ({}, {"onnx": True}, ["litert", *OUTPUTS, "opencv", "onnx"]),
        (BOOKWORM, {"runtime": "tflite"}, ["tflite", *OUTPUTS, "opencv"]),
        # With what setup_pi.sh falls back to.
        (BOOKWORM, {}, ["litert", *OUTPUTS, "tflite", "opencv"]),
        # Debian's OpenCV serves.
        ({**BOOKWORM, "bits": 32, "machine": "armv7l"}, {}, ["tflite", *OUTPUTS]),
    ],
)
def test_what_is_sent_follows_the_system(change, choices, extras):
    pi, wanted = replace(PI, **change), install.Choices(**choices)
    assert install.extras(pi, install.check(pi, wanted), wanted) == extras

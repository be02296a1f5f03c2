from __future__ import annotations

import mmap

import pytest

from tartlet_device import machine


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("0\n", ()),
        ("1\n", ("under-voltage now",)),
        (
            "50005\n",
            (
                "under-voltage now",
                "throttled now",
                "under-voltage has occurred",
                "throttling has occurred",
            ),
        ),
        ("nonsense", None),
    ],
)
def test_firmware_flags_in_words(tmp_path, content, words):
    file = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    assert machine.throttled(tmp_path) == words


def test_without_the_firmware_nothing_is_known(tmp_path):
    assert machine.throttled(tmp_path) is None
    assert machine.temperature_c(tmp_path) is None


def test_the_hottest_zone_counts(tmp_path):
    for number, content in enumerate(["41200", "58300", "broken"]):
        zone = tmp_path / f"sys/class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "temp").write_text(content)
    assert machine.temperature_c(tmp_path) == 58.3


def test_a_synchronized_clock_is_seen(tmp_path):
    marker = tmp_path / "run/systemd/timesync/synchronized"
    marker.parent.mkdir(parents=True)
    marker.touch()
    assert machine.clock_synchronized(tmp_path) is True


def test_the_kernel_is_asked_without_a_marker(tmp_path):
    assert machine.clock_synchronized(tmp_path) in (True, False)


def test_resident_memory_grows_with_what_is_held():
    before = machine.resident_bytes()
    with mmap.mmap(-1, 30_000_000) as held:  # not the allocator's, which may have some in hand
        held.write(b"x" * len(held))
        assert machine.resident_bytes() - before > 20_000_000


def test_a_pi_is_named(tmp_path):
    tree = tmp_path / "sys/firmware/devicetree/base"
    tree.mkdir(parents=True)
    (tree / "model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    assert machine.description(tmp_path).startswith("Raspberry Pi 5 Model B Rev 1.0 (")
    assert machine.description(tmp_path / "none").startswith("Linux (")

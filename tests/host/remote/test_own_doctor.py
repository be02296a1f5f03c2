from __future__ import annotations

import pytest

from tartlet_host.remote import own_doctor


@pytest.mark.parametrize(
    ("bridge", "command"),
    [
        ("tartlet-device bridge", "tartlet-device doctor --json"),
        ("/opt/t/tartlet-device bridge --socket /s", "/opt/t/tartlet-device doctor --json"),
        (
            "'/a b/python' -m tartlet_device.cli bridge --config '/c d.toml' --socket /s",
            "'/a b/python' -m tartlet_device.cli doctor --json --config '/c d.toml'",
        ),
        ("run-tartlet", "run-tartlet doctor --json"),
    ],
)
def test_the_doctor_is_a_neighbour_of_the_bridge(bridge: str, command: str) -> None:
    assert own_doctor.command_of(bridge) == command

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tartlet_host.remote import inventory, session
from tartlet_host.remote.hostkey import HostKey
from tartlet_host.remote.inventory import Device
from tartlet_shared import errors

KEY = str(HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519" + bytes(36)))
PI = Device(name="pi", address="pi.local", user="pi", port=22, host_key=KEY)
SHED = Device(
    name="shed",
    address="shed-alias",
    host_key=KEY,
    jump_keys={"gate:22": KEY, "[::1]:2022": KEY},
    identity="/keys/shed",
    socket="/tmp/d.sock",
    bridge="python -m x",
)


def test_devices_survive_being_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "devices.toml"
    inventory.save(path, {"pi": PI, "shed": SHED})
    assert inventory.load(path) == {"pi": PI, "shed": SHED}


def test_no_file_is_no_devices(tmp_path: Path) -> None:
    assert inventory.load(tmp_path / "devices.toml") == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"devices = [", "TOML|alid|Expected|nclosed"),
        (b"\xff\xfe", "utf-8"),
        (b"[devices.pi]\naddress = 'x'\n", "host_key"),
        (f"[devices.pi]\naddress = 'x'\nhost_key = '{KEY}'\ntypo = 1\n".encode(), "typo"),
        (b"[devices.pi]\naddress = 'x'\nhost_key = 'ssh-ed25519 AAAA'\n", "public key"),
        (b"[groups.garden]\naddress = 'x'\n", "address"),
        (f"[devices.pi]\naddress = 1\nhost_key = '{KEY}'\n".encode(), "str"),
    ],
)
def test_a_damaged_file_names_the_place_and_is_left_alone(
    tmp_path: Path, text: bytes, says: str
) -> None:
    path = tmp_path / "devices.toml"
    path.write_bytes(text)
    with pytest.raises(errors.ConfigError, match=says) as caught:
        inventory.load(path)
    assert caught.value.where == str(path)
    assert caught.value.hint
    assert path.read_bytes() == text


def test_a_write_that_fails_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "devices.toml"
    inventory.save(path, {"pi": PI})
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.ConfigError, match="No space"):
        inventory.save(path, {"pi": PI, "shed": SHED})
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["devices.toml"]


GROUPED = f"""
[groups.garden]
user = "pi"
identity = "/keys/garden"
[groups.north]
port = 2222
[devices.bed1]
address = "10.0.0.11"
host_key = "{KEY}"
groups = ["garden", "north", "plain"]
tags = ["zero2"]
[devices.bed2]
address = "10.0.0.12"
host_key = "{KEY}"
groups = ["garden"]
user = ""
"""


def test_what_a_group_says_holds_unless_the_device_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "devices.toml"
    path.write_text(GROUPED)
    bed1, bed2 = inventory.load(path).values()
    assert (bed1.user, bed1.port, bed1.identity) == ("pi", 2222, "/keys/garden")
    assert bed1.groups == ("garden", "north", "plain")
    assert bed1.tags == ("zero2",)
    assert (bed2.user, bed2.port, bed2.identity) == ("", 0, "/keys/garden")


def test_groups_survive_a_change_and_are_not_copied_to_the_devices(tmp_path: Path) -> None:
    path = tmp_path / "devices.toml"
    path.write_text(GROUPED)
    devices = inventory.load(path)
    inventory.save(path, {**devices, "pi": PI})
    assert inventory.load(path) == {**devices, "pi": PI}
    text = path.read_text()
    assert text.count("/keys/garden") == 1
    assert text.count("2222") == 1
    # Taken out of its groups a device stays as it was.
    moved = replace(devices["bed1"], groups=())
    inventory.save(path, {"bed1": moved})
    assert inventory.load(path) == {"bed1": moved}


def test_groups_that_disagree_are_refused_until_the_device_says_which(tmp_path: Path) -> None:
    path = tmp_path / "devices.toml"
    path.write_text(GROUPED.replace("port = 2222", 'user = "root"'))
    with pytest.raises(errors.ConfigError, match="'bed1' disagree about its user"):
        inventory.load(path)
    path.write_text(path.read_text().replace('tags = ["zero2"]', 'user = "root"'))
    devices = inventory.load(path)
    assert devices["bed1"].user == "root"
    inventory.save(path, devices)
    assert inventory.load(path) == devices


@pytest.mark.parametrize("name", ["pi", "Pi-4.shed_2", "7"])
def test_good_names(name: str) -> None:
    inventory.check_name(name)


@pytest.mark.parametrize("name", ["", "-pi", "pi@host", "a b", "pi:22", ".", "x" * 64, "pi/2"])
def test_names_that_look_like_something_else_are_refused(name: str) -> None:
    with pytest.raises(errors.UsageError):
        inventory.check_name(name)


def test_a_single_device_needs_no_name() -> None:
    assert inventory.find({"pi": PI}, None) == PI


def test_several_devices_need_one() -> None:
    with pytest.raises(errors.UsageError, match="pi, shed"):
        inventory.find({"pi": PI, "shed": SHED}, None)


@pytest.mark.parametrize("name", [None, "other"])
def test_a_device_that_was_not_added_is_unknown(name: str | None) -> None:
    with pytest.raises(errors.DeviceUnknown) as caught:
        inventory.find({}, name)
    assert "tartlet device add" in caught.value.hint


def test_the_folder_can_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(inventory.CONFIG_DIR_VARIABLE, str(tmp_path))
    assert inventory.default_path() == tmp_path / "devices.toml"
    monkeypatch.delenv(inventory.CONFIG_DIR_VARIABLE)
    assert inventory.default_path().parent.name == "tartlet"


@pytest.mark.parametrize(
    ("text", "name", "key"),
    [
        ("pi", "pi", KEY),
        ("pi@pi.local", "pi", KEY),
        ("pi.local", "pi", KEY),
        ("pi@pi.local:22", "pi", KEY),
        ("pi@pi.local:2222", "pi@pi.local:2222", ""),
        ("root@pi.local", "root@pi.local", ""),
        ("pi@new.local", "pi@new.local", ""),
    ],
)
def test_a_device_is_found_by_name_or_address(
    tmp_path: Path, text: str, name: str, key: str
) -> None:
    path = tmp_path / "devices.toml"
    inventory.save(path, {"pi": PI, "shed": SHED})
    found = session.find_device(text, path)
    assert (found.name, found.host_key) == (name, key)


def test_a_plain_word_that_is_no_device_is_unknown_and_not_connected_to(tmp_path: Path) -> None:
    path = tmp_path / "devices.toml"
    inventory.save(path, {"pi": PI})
    with pytest.raises(errors.DeviceUnknown, match="known: pi"):
        session.find_device("pie", path)


def test_keys_of_the_jumps_are_parsed() -> None:
    assert session.jump_keys_of(SHED)["gate:22"] == HostKey.parse(KEY)
    assert session.jump_keys_of(replace(SHED, jump_keys={})) == {}

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko
import pytest

from tartlet_host.remote import inventory, sshd
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.hostkey import HostKey
from tartlet_host.remote.session import find_device, open_session
from tartlet_shared import errors

pytestmark = pytest.mark.system

OTHER = HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32))


def address(shared: EmbeddedDevice) -> str:
    return str(shared.device.typed)


def test_a_device_that_was_never_added_is_refused(shared: EmbeddedDevice, tmp_path: Path) -> None:
    stranger = find_device(address(shared), tmp_path / "devices.toml")
    with pytest.raises(errors.HostKeyUnknown) as caught, open_session(stranger):
        pass
    assert shared.ssh.host_key.fingerprint in caught.value.what
    assert "tartlet device add" in caught.value.hint


def test_a_changed_key_is_refused_before_logging_in(shared: EmbeddedDevice) -> None:
    changed = replace(shared.device, host_key=str(OTHER), identity="/no/such/key")
    with pytest.raises(errors.HostKeyChanged) as caught, open_session(changed):
        pass
    assert OTHER.fingerprint in caught.value.what
    assert shared.ssh.host_key.fingerprint in caught.value.what
    assert "tartlet device trust demo" in caught.value.hint


def test_a_server_with_several_keys_shows_the_pinned_one(
    start: Callable[..., EmbeddedDevice], tmp_path: Path
) -> None:
    second = paramiko.ECDSAKey.generate()
    path = tmp_path / "ecdsa"
    second.write_private_key_file(str(path))
    path.chmod(0o600)
    embedded = start(sshd_options=[f"HostKey {path}"])
    for key in (HostKey(second.get_name(), second.asbytes()), embedded.ssh.host_key):
        with open_session(replace(embedded.device, host_key=str(key))) as session:
            session.client.status()


def test_a_key_that_the_server_does_not_know_is_named(
    shared: EmbeddedDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = tmp_path / "stranger"
    sshd._make_key(stranger)
    with (
        pytest.raises(errors.AuthenticationFailed) as caught,
        open_session(replace(shared.device, identity=str(stranger))),
    ):
        pass
    assert str(stranger) in caught.value.what
    assert "ssh-copy-id" in caught.value.hint


def test_a_key_with_a_passphrase_asks_for_it_or_says_that_it_was_skipped(
    shared: EmbeddedDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "locked"
    from cryptography.hazmat.primitives import serialization

    plain = serialization.load_ssh_private_key(shared.ssh.identity.read_bytes(), None)
    locked.write_bytes(
        plain.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    device = replace(shared.device, identity=str(locked))
    with pytest.raises(errors.AuthenticationFailed, match="passphrase"), open_session(device):
        pass
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return "secret"

    with open_session(device, ask=ask) as session:
        session.client.status()
    assert asked == [f"passphrase of {locked}: "]


def add(shared: EmbeddedDevice, *more: object) -> list[object]:
    return ["device", "add", "pi", address(shared), "--identity", shared.ssh.identity,
            "--socket", shared.socket_path, *more]  # fmt: skip


def test_add_pins_the_key_that_was_named(shared: EmbeddedDevice, run: Any, tmp_path: Path) -> None:
    fingerprint = shared.ssh.host_key.fingerprint
    code, out, err = run(tmp_path, *add(shared, "--fingerprint", fingerprint, "--json"))
    assert code == 0, err
    assert json.loads(out) == {
        "name": "pi",
        "address": address(shared),
        "fingerprint": fingerprint,
        "jumps": {},
        "reachable": True,
        "problem": "",
    }
    code, out, _ = run(tmp_path, "status", "--json")
    assert code == 0
    assert json.loads(out)["device"] == "pi"
    code, out, _ = run(tmp_path, "device", "list", "--json")
    assert [each["fingerprint"] for each in json.loads(out)] == [fingerprint]
    assert run(tmp_path, "device", "remove", "pi")[0] == 0
    assert inventory.load(tmp_path / "devices.toml") == {}
    assert run(tmp_path, "status")[0] == errors.DeviceUnknown.exit_code


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (["--fingerprint", "SHA256:other"], errors.HostKeyChanged),
        ([], errors.HostKeyUnknown),  # nobody is here to be asked
    ],
)
def test_a_key_that_nobody_confirmed_is_not_pinned(
    shared: EmbeddedDevice, run: Any, tmp_path: Path, more: list[str], error: Any
) -> None:
    code, _, err = run(tmp_path, *add(shared, *more))
    assert code == error.exit_code
    assert shared.ssh.host_key.fingerprint in err
    assert not (tmp_path / "devices.toml").exists()


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", errors.HostKeyUnknown.exit_code)])
def test_a_person_is_shown_the_key_and_asked(
    shared: EmbeddedDevice,
    run: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
) -> None:
    from tartlet_host.commands.device import keys

    monkeypatch.setattr(keys, "asking", lambda: lambda prompt: "")
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: answer)
    got, _, err = run(tmp_path, *add(shared))
    assert got == code
    assert shared.ssh.host_key.fingerprint in err
    assert ("pi" in inventory.load(tmp_path / "devices.toml")) == (code == 0)


def test_trust_accepts_the_new_key_of_a_known_device(
    shared: EmbeddedDevice, run: Any, tmp_path: Path
) -> None:
    old = replace(shared.device, name="pi", host_key=str(OTHER))
    path = tmp_path / "devices.toml"
    inventory.save(path, {"pi": old})
    assert run(tmp_path, "status", "pi")[0] == errors.HostKeyChanged.exit_code
    for words in (("pi",), ("pi", "--yes")):
        code, _, err = run(tmp_path, "device", "trust", *words)
        assert code == errors.HostKeyChanged.exit_code
        assert OTHER.fingerprint in err
        assert shared.ssh.host_key.fingerprint in err
        assert "--replace" in err
    code, _, err = run(tmp_path, "device", "trust", "pi", "--replace")
    assert code == errors.HostKeyUnknown.exit_code  # nobody is here to be asked
    assert inventory.load(path)["pi"] == old
    code, _, err = run(tmp_path, "device", "trust", "pi", "--replace", "--yes")
    assert code == 0
    assert OTHER.fingerprint in err
    assert shared.ssh.host_key.fingerprint in err
    assert run(tmp_path, "status", "pi")[0] == 0


def test_a_name_is_given_once(shared: EmbeddedDevice, run: Any) -> None:
    words = ["device", "add", "demo", address(shared), "--yes"]
    code, _, err = run(shared.config_dir, *words)
    assert code == errors.UsageError.exit_code
    assert "tartlet device trust demo" in err


@pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="needs ssh-agent")
def test_a_key_that_only_the_agent_has_is_enough(
    shared: EmbeddedDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="agent-") as folder:
        place = Path(folder) / "s"
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(place)], stdout=subprocess.DEVNULL)
        try:
            while not place.exists():
                assert agent.poll() is None
                time.sleep(0.01)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
            device = replace(shared.device, identity="")
            with pytest.raises(errors.AuthenticationFailed), open_session(device):
                pass
            subprocess.run(["ssh-add", "-q", str(shared.ssh.identity)], check=True)
            with open_session(device) as session:
                session.client.status()
        finally:
            agent.terminate()
            agent.wait()

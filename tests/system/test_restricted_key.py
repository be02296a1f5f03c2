"""A key that is good for tartlet alone: a real SSH server, attacked with OpenSSH's clients."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tartlet_host.remote import inventory, restricted_key, rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.inventory import Device
from tartlet_host.remote.session import open_session
from tartlet_host.remote.stream import BridgeStream
from tartlet_host.remote.view import view
from tartlet_shared.bundle import Bundle
from tests.system.conftest import active_digest

pytestmark = pytest.mark.system


def gate_of(embedded: EmbeddedDevice) -> str:
    """What a setup would find under one name in /usr/local/bin."""
    folder = embedded.config_dir.parent
    path = ":".join(each for each in sys.path if each)
    program = folder / "gate.sh"
    words = [sys.executable, "-m", "tartlet_device.cli", "gate"]
    config = next(folder.glob("*.toml"))
    program.write_text(
        f"#!/bin/sh\nPYTHONPATH={shlex.quote(path)} exec {shlex.join(words)} --config {config}\n"
    )
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def restricted(embedded: EmbeddedDevice, monkeypatch: pytest.MonkeyPatch) -> Device:
    """The device, reached with such a key."""
    monkeypatch.setenv(inventory.CONFIG_DIR_VARIABLE, str(embedded.config_dir))
    public = restricted_key.make("demo")
    allowed = embedded.ssh.identity.with_name("authorized_keys")
    with allowed.open("a") as stream:
        stream.write(restricted_key.line(public, gate_of(embedded)) + "\n")
    return replace(
        embedded.device,
        restricted=True,
        bridge=inventory.DEFAULT_BRIDGE,
    )


def test_push_and_predict_work(
    restricted: Device, embedded: EmbeddedDevice, large_bundle: Bundle
) -> None:
    with open_session(restricted) as session:
        assert type(session.client._stream) is BridgeStream
        plan = rollout.plan(large_bundle, *rollout.facts(session.client, large_bundle))
        assert plan.upload_bytes > 3_000_000
        report = rollout.apply(plan, session.client, session.connection)
        assert report.serves
        assert session.client.predict().detections
    assert active_digest(embedded) == large_bundle.digest


def test_the_live_page_works(restricted: Device) -> None:
    addresses: list[str] = []

    class Enough(Exception):
        pass

    def look(seconds: float) -> None:
        import urllib.request

        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(addresses[0], timeout=20) as answer:
            assert b"<html" in answer.read()
        raise Enough

    with pytest.raises(Enough):
        view(restricted, 0, shown=addresses.append, say=print, wait=look)


def ssh(device: Device, *words: str, program: str = "ssh") -> subprocess.CompletedProcess[str]:
    options = [
        *("-F", "none", "-i", str(restricted_key.path_of(device.name)), "-o", "IdentitiesOnly=yes"),
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", "BatchMode=yes", "-o", "ControlMaster=no"),
        *("-P" if program != "ssh" else "-p", str(device.port)),
    ]
    return subprocess.run(
        [program, *options, *words],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def test_there_is_no_shell_and_no_other_command(restricted: Device, tmp_path: Path) -> None:
    place = f"{restricted.user}@127.0.0.1"
    witness = tmp_path / "witness"
    for words in (
        [place],
        [place, f"touch {witness}"],
        [place, f"tartlet-device bridge; touch {witness}"],
        [place, f"tartlet-device bridge --socket $(touch {witness})"],
        [place, "tartlet-device doctor"],
    ):
        done = ssh(restricted, *words)
        assert done.returncode == 2, words
        assert "for tartlet alone" in done.stderr
        assert done.stdout == ""
    assert "PTY allocation request failed" in ssh(restricted, "-tt", place).stderr
    assert not witness.exists()


def test_no_file_is_read_or_written_beside_uploads(
    restricted: Device, embedded: EmbeddedDevice, tmp_path: Path
) -> None:
    place = f"{restricted.user}@127.0.0.1"
    secret = tmp_path / "secret"
    secret.write_text("secret")
    mine = tmp_path / "mine"
    mine.write_text("mine")
    allowed = embedded.ssh.identity.with_name("authorized_keys")
    before = allowed.read_bytes()
    for words in (
        [f"{place}:{secret}", str(tmp_path / "stolen")],
        [str(mine), f"{place}:{tmp_path / 'planted'}"],
        [str(mine), f"{place}:{allowed}"],
        ["-O", str(mine), f"{place}:{tmp_path / 'planted'}"],
    ):
        done = ssh(restricted, *words, program="scp")
        assert done.returncode != 0, words
    assert not (tmp_path / "stolen").exists()
    assert not (tmp_path / "planted").exists()
    assert allowed.read_bytes() == before
    assert list((embedded.store / "incoming").iterdir()) == []


def test_nothing_is_forwarded(restricted: Device) -> None:
    place = f"{restricted.user}@127.0.0.1"
    with socket.create_server(("127.0.0.1", 0)) as inside:
        inside.settimeout(3)
        port = inside.getsockname()[1]
        done = ssh(restricted, "-W", f"127.0.0.1:{port}", place)
        assert done.returncode != 0
        assert "administratively prohibited" in done.stderr
        with pytest.raises(TimeoutError):
            inside.accept()
    done = ssh(restricted, "-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", place)
    assert done.returncode != 0


@pytest.mark.parametrize(
    "before",
    [None, "", "ssh-ed25519 AAAA mine\n", "ssh-ed25519 AAAA mine", "# a note\n\nssh-rsa BBBB x\n"],
)
def test_the_line_is_added_once_and_others_stay(before: str | None, tmp_path: Path) -> None:
    home = tmp_path / "elsewhere"
    home.mkdir()
    allowed = home / ".ssh" / "authorized_keys"
    if before is not None:
        allowed.parent.mkdir()
        allowed.write_text(before)
    public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIabc/+= demo"
    for command in ("/old gate", restricted_key.GATE, restricted_key.GATE):
        subprocess.run(
            ["sh", "-c", restricted_key._INSTALL],
            input=restricted_key.line(public, command) + "\n",
            env={**os.environ, "HOME": str(home)},
            text=True,
            check=True,
        )
    lines = allowed.read_text().splitlines()
    assert lines[:-1] == (before or "").splitlines()
    assert lines[-1].startswith('restrict,command="/usr/local/bin/tartlet-device gate" ssh-ed25519')
    assert allowed.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in allowed.parent.iterdir()] == ["authorized_keys"]


def test_the_key_is_made_once_and_private(restricted: Device) -> None:
    path = restricted_key.path_of("demo")
    assert path.stat().st_mode & 0o077 == 0
    assert restricted_key.make("demo") == restricted_key.make("demo")
    done = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[:2] == restricted_key.make("demo").split()[:2]

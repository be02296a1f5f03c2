from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest

from tartlet_host.remote import hostkey
from tartlet_host.remote.hostkey import HostKey
from tartlet_shared import errors


def key(kind: str = "ssh-ed25519", body: bytes = b"x" * 32) -> HostKey:
    name = kind.encode()
    return HostKey(kind, len(name).to_bytes(4, "big") + name + body)


def test_a_key_survives_being_written_and_read() -> None:
    assert HostKey.parse(str(key())) == key()
    assert HostKey.parse(f"{key()} comment on it\n") == key()


@pytest.mark.parametrize(
    "text",
    ["", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-rsa " + str(key()).split()[1], "ssh-ed25519 AAAA"],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(errors.ConfigError, match="not a public key"):
        HostKey.parse(text)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen to compare with")
def test_the_fingerprint_is_the_one_that_openssh_prints(tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    printed = subprocess.run(
        ["ssh-keygen", "-lf", str(path)], check=True, capture_output=True, text=True
    ).stdout
    ours = HostKey.parse(path.with_suffix(".pub").read_text()).fingerprint
    assert ours in printed.split()


def test_the_pinned_key_passes() -> None:
    hostkey.check(key(), key(), where="h:22", name="pi")


def test_an_unknown_key_is_refused_with_its_fingerprint() -> None:
    with pytest.raises(errors.HostKeyUnknown) as caught:
        hostkey.check(None, key(), where="h:22", name="pi")
    assert key().fingerprint in caught.value.what
    assert "tartlet device add" in caught.value.hint


@pytest.mark.parametrize("shown", [key(body=b"y" * 32), key("ssh-rsa")])
def test_a_changed_key_is_refused_with_both_fingerprints(shown: HostKey) -> None:
    with pytest.raises(errors.HostKeyChanged) as caught:
        hostkey.check(key(), shown, where="h:22", name="pi")
    assert key().fingerprint in caught.value.what
    assert shown.fingerprint in caught.value.what
    assert "tartlet device trust pi" in caught.value.hint


def test_a_key_names_the_algorithms_it_can_sign_with() -> None:
    assert key().algorithms == ("ssh-ed25519",)
    assert key("ssh-rsa").algorithms == ("rsa-sha2-512", "rsa-sha2-256")


def test_base64_is_the_usual_one() -> None:
    assert str(key()).split()[1] == base64.b64encode(key().blob).decode()

from __future__ import annotations

from pathlib import Path

import pytest

from tartlet_host.remote import sshconfig
from tartlet_shared import errors

CONFIG = """
Host shed
    HostName 10.0.0.9
    User gardener
    Port 2200
    IdentityFile ~/.ssh/shed
    IdentityFile /keys/second
    IdentitiesOnly yes
    ProxyJump gate
Host tunnel
    ProxyCommand nc -x proxy %h %p
Host none
    ProxyJump none
    ProxyCommand none
Host *
    User everybody
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def write(home: Path, text: str, name: str = "config") -> tuple[Path, ...]:
    path = home / ".ssh" / name
    path.write_text(text)
    return (path,)


def test_every_option_that_counts_is_read(home: Path) -> None:
    found = sshconfig.lookup("shed", files=write(home, CONFIG))
    assert found == sshconfig.HostOptions(
        hostname="10.0.0.9",
        user="gardener",
        port=2200,
        identity_files=(home / ".ssh" / "shed", Path("/keys/second")),
        identities_only=True,
        proxy_jump="gate",
    )


def test_an_unknown_host_gets_the_general_options(home: Path) -> None:
    found = sshconfig.lookup("elsewhere", files=write(home, CONFIG))
    assert found == sshconfig.HostOptions("elsewhere", "everybody")


def test_the_proxy_command_has_its_tokens_filled_in(home: Path) -> None:
    found = sshconfig.lookup("tunnel", files=write(home, CONFIG))
    assert found.proxy_command == "nc -x proxy tunnel 22"


def test_what_was_typed_wins_in_the_proxy_command_too(home: Path) -> None:
    files = write(home, "Host *\n  ProxyCommand nc %h %p %r\n  Port 22\n  User theirs\n")
    found = sshconfig.lookup("pi", user="me", port=2222, files=files)
    assert found.proxy_command == "nc pi 2222 me"
    assert (found.user, found.port) == ("me", 2222)


def test_none_switches_a_proxy_off(home: Path) -> None:
    found = sshconfig.lookup("none", files=write(home, CONFIG))
    assert (found.proxy_jump, found.proxy_command) == ("", "")


def test_the_first_file_wins(home: Path) -> None:
    first = write(home, "Host shed\n  User mine\n", "first")
    second = write(home, "User theirs\nPort 23\n", "second")
    found = sshconfig.lookup("shed", files=(*first, *second, home / "missing"))
    assert (found.user, found.port) == ("mine", 23)


def test_included_files_are_read_and_end_with_their_own_block(home: Path) -> None:
    write(home, "Host shed\n  User from-include\n", "extra.conf")
    files = write(home, "Include extra.*\nPort 2022\n")
    assert sshconfig.lookup("shed", files=files).user == "from-include"
    # Port stands after the included Host block, but belongs to every host again.
    assert sshconfig.lookup("other", files=files).port == 2022


def test_a_file_that_includes_itself_is_refused(home: Path) -> None:
    with pytest.raises(errors.ConfigError, match="Include"):
        sshconfig.lookup("x", files=write(home, "Include config\n"))


@pytest.mark.parametrize("text", ["Port many\n", "nonsense-without-value\n"])
def test_a_damaged_file_is_a_clear_error(home: Path, text: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        sshconfig.lookup("x", files=write(home, text))
    assert "ssh" in caught.value.where


def test_no_file_is_no_options(home: Path) -> None:
    assert sshconfig.lookup("pi", files=(home / "nothing",)) == sshconfig.HostOptions("pi")

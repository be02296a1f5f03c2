from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tartlet_host.cli import cli
from tartlet_host.commands import fleet_options, options
from tartlet_host.remote import inventory
from tartlet_host.remote.hostkey import HostKey
from tartlet_host.remote.inventory import Device
from tartlet_shared import errors

KEY = str(HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519" + bytes(36)))


@pytest.fixture(autouse=True)
def _one_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(inventory.CONFIG_DIR_VARIABLE, str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    inventory.save(
        inventory.default_path(), {"pi": Device(name="pi", address="pi.local", host_key=KEY)}
    )
    Path("here.jpg").touch()
    Path("bundle").mkdir()


@pytest.mark.parametrize(
    ("words", "file_first", "file", "device"),
    [
        ((None, None), False, None, None),
        (("pi", None), False, None, "pi"),
        (("here.jpg", None), False, "here.jpg", None),
        (("missing.jpg", None), False, "missing.jpg", None),
        (("pi@other", None), False, None, "pi@other"),
        (("unknown", None), False, None, "unknown"),
        (("pi", "here.jpg"), False, "here.jpg", "pi"),
        (("bundle", None), True, "bundle", None),
        (("missing", None), True, "missing", None),
        (("pi", None), True, None, "pi"),
        (("bundle", "pi"), True, "bundle", "pi"),
    ],
)
def test_a_file_is_told_from_a_device(
    words: tuple[str | None, str | None], file_first: bool, file: str | None, device: str | None
) -> None:
    found = options.file_and_device(*words, file_first=file_first)
    assert found == (None if file is None else Path(file), device)


@pytest.mark.parametrize(
    ("words", "file", "devices"),
    [
        ((), None, ()),
        (("pi",), None, ("pi",)),
        (("bundle",), "bundle", ()),
        (("bundle", "pi"), "bundle", ("pi",)),
        (("missing", "pi", "shed"), "missing", ("pi", "shed")),
        (("pi", "shed"), None, ("pi", "shed")),
    ],
)
def test_a_bundle_is_told_from_devices(
    words: tuple[str, ...], file: str | None, devices: tuple[str, ...]
) -> None:
    found = fleet_options.bundle_and_devices(words)
    assert found == (None if file is None else Path(file), devices)


def test_a_folder_here_goes_before_a_device_of_its_name() -> None:
    Path("pi").mkdir()
    assert fleet_options.bundle_and_devices(("pi", "pi")) == (Path("pi"), ("pi",))


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1234, "1.2 kB"), (5_000_000, "5.0 MB"), (8.1e10, "81.0 GB")],
)
def test_sizes_for_people(count: float, text: str) -> None:
    assert options.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s"), (300, "5 min"), (18000, "5.0 h"), (864000, "10 days")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert options.duration(seconds) == text


def test_a_missing_picture_says_which() -> None:
    with pytest.raises(errors.PictureUnreadable) as caught:
        options.read_file(Path("missing.jpg"))
    assert caught.value.where == "missing.jpg"


def test_a_result_that_cannot_be_written_says_where() -> None:
    with pytest.raises(errors.UsageError) as caught:
        options.write_file(Path("here.jpg/inside.jpg"), b"x")
    assert caught.value.where == "here.jpg/inside.jpg"


def test_nobody_is_asked_where_nobody_sits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert options.asking() is None


def test_answers_are_given_again_only_on_later_connections() -> None:
    """The first may be mistyped, and is asked for anew; later nobody may sit there."""
    typed = iter(["mistyped", "right", "other"])
    remembered = options.Remembered(lambda prompt: next(typed))
    assert [remembered("password: "), remembered("password: ")] == ["mistyped", "right"]
    remembered.again = True
    assert [remembered("password: "), remembered("password: ")] == ["right", "right"]
    assert remembered("passphrase: ") == "other"


@pytest.mark.parametrize("rate", ["0", "999", "fast", "1G", "-1K", ""])
def test_a_limit_that_is_none_is_refused_before_anything_is_done(rate: str) -> None:
    result = CliRunner().invoke(cli, ["push", "no-bundle", "--limit", rate])
    assert isinstance(result.exception, errors.UsageError)
    assert "--limit" in str(result.exception)

"""The command table: every command is there, explains itself, and start-up stays light."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import tartlet_host.commands
from tartlet_host import cli
from tartlet_host.commands.table import module_of
from tartlet_shared import errors

HEAVY = ("torch", "cv2", "paramiko", "rich", "numpy", "onnxruntime", "matplotlib")


def imported_by(*arguments: str) -> set[str]:
    """Top-level modules in a fresh Python after a tartlet command ran."""
    script = (
        "import sys\n"
        "from tartlet_host.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "print('|'.join(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split("|"))


def test_help_loads_nothing_heavy() -> None:
    assert not imported_by("--help") & set(HEAVY)


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_a_command_explains_itself_without_loading_torch(name: str) -> None:
    loaded = imported_by(name, "--help")
    assert not loaded & {"torch", "onnxruntime", "matplotlib", "litert_torch"}


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_has_help_that_teaches(name: str) -> None:
    result = CliRunner().invoke(cli.cli, [name, "--help"], terminal_width=100)
    assert result.exit_code == 0, result.output
    assert len(result.output.splitlines()) > 6
    assert "tartlet" in result.output


def test_the_table_and_the_folder_agree() -> None:
    modules = {module.name for module in pkgutil.iter_modules(tartlet_host.commands.__path__)}
    expected = {module_of(name) for name in cli.COMMANDS}
    assert expected <= modules
    with_command = {
        name
        for name in modules
        if hasattr(importlib.import_module(f"tartlet_host.commands.{name}"), "command")
    }
    assert with_command == expected


def test_a_typing_mistake_is_answered_with_the_nearest_command() -> None:
    result = CliRunner().invoke(cli.cli, ["evalute"])
    assert result.exit_code == 2
    assert "evaluate" in result.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str) -> None:
    result = CliRunner().invoke(cli.cli, ["completion", shell])
    assert result.exit_code == 0
    assert "_TARTLET_COMPLETE" in result.output


def test_tab_completes_a_command() -> None:
    from click.shell_completion import ShellComplete

    found = ShellComplete(cli.cli, {}, "tartlet", "_TARTLET_COMPLETE").get_completions([], "pr")
    assert {item.value for item in found} == {"prune", "predict"}


def completed(*words: str, incomplete: str = "") -> set[str]:
    from click.shell_completion import ShellComplete

    completion = ShellComplete(cli.cli, {}, "tartlet", "_TARTLET_COMPLETE")
    return {item.value for item in completion.get_completions(list(words), incomplete)}


@pytest.mark.parametrize(
    "command",
    [
        *("push bundle", "predict", "capture", "record", "events", "watch", "status", "rollback"),
        *("fleet status", "device change"),
    ],
)
def test_tab_completes_the_name_of_a_device(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tartlet_host.remote import inventory
    from tartlet_host.remote.hostkey import HostKey
    from tartlet_host.remote.inventory import Device

    key = str(HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519" + bytes(36)))
    devices = {
        name: Device(name=name, address="10.0.0.1", user="pi", host_key=key)
        for name in ("garden", "garage", "shed")
    }
    inventory.save(tmp_path / "devices.toml", devices)
    monkeypatch.setenv(inventory.CONFIG_DIR_VARIABLE, str(tmp_path))
    assert completed(*command.split(), incomplete="gar") >= {"garden", "garage"}
    (tmp_path / "devices.toml").write_text("[[[")
    assert not completed(*command.split(), incomplete="gard") & set(devices)


@pytest.mark.parametrize("command", ["push", "fleet status", "device change"])
def test_tab_completes_groups_and_tags(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tartlet_host.remote import inventory
    from tartlet_host.remote.hostkey import HostKey
    from tartlet_host.remote.inventory import Device

    key = str(HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519" + bytes(36)))
    device = Device(
        name="bed1",
        address="10.0.0.1",
        host_key=key,
        groups=("garden", "shed"),
        tags=("zero2", "north"),
    )
    inventory.save(tmp_path / "devices.toml", {"bed1": device})
    monkeypatch.setenv(inventory.CONFIG_DIR_VARIABLE, str(tmp_path))
    assert completed(*command.split(), "--group", incomplete="g") == {"garden"}
    assert completed(*command.split(), "--tag", incomplete="") == {"zero2", "north"}
    (tmp_path / "devices.toml").write_text("[[[")
    assert completed(*command.split(), "--group", incomplete="") == set()


def test_an_error_becomes_text_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", str(tmp_path / "nothing.json")])
    assert stopped.value.code == errors.DatasetNotFound.exit_code
    said = capsys.readouterr().err
    assert "nothing.json" in said
    assert "what to do:" in said
    assert "Traceback" not in said


def test_ctrl_c_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.cli, "main", interrupt)
    with pytest.raises(SystemExit) as stopped:
        cli.main([])
    assert stopped.value.code == cli.INTERRUPTED
    assert capsys.readouterr().err == "tartlet: stopped\n"


@pytest.mark.parametrize(
    ("number", "hint"), [(28, "free some space"), (13, "who owns"), (30, "read-only"), (5, "")]
)
def test_a_fault_of_the_system_is_said_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, hint: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "that went wrong", "/some/file")

    monkeypatch.setattr(cli.cli, "main", fail)
    with pytest.raises(SystemExit) as stopped:
        cli.main([])
    said = capsys.readouterr().err
    assert stopped.value.code == 1
    assert "/some/file: that went wrong" in said
    assert hint in said
    assert "Traceback" not in said

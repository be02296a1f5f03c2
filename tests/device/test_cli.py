from __future__ import annotations

import subprocess
import sys

import pytest

from tartlet_device import cli
from tartlet_device.doctor import board, disk, libraries
from tartlet_shared import errors


def test_help_names_every_command_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for word in ("serve", "bridge", "status", "rollback", "doctor", "Exit codes"):
        assert word in shown


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["status", "--nonsense"]])
def test_wrong_usage_is_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == errors.UsageError.exit_code
    assert "usage" in capsys.readouterr().err


def test_an_error_says_what_where_and_what_to_do(tmp_path, capsys):
    path = tmp_path / "d.toml"
    path.write_text(f'socket = "{tmp_path}/none.sock"')
    assert cli.main(["status", "--config", str(path)]) == errors.DaemonNotRunning.exit_code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"{tmp_path}/none.sock: the daemon does not answer" in shown.err
    assert "→" in shown.err


HEAVY = {"cv2", "onnxruntime", "ai_edge_litert", "tartlet_host", "torch"}


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (["cli", "local"], HEAVY),
        (["cli", "bridge", "connecting", "config"], {*HEAVY, "numpy"}),
    ],
)
def test_small_commands_do_not_load_what_only_the_daemon_needs(modules, heavy):
    imports = ", ".join(f"tartlet_device.{module}" for module in modules)
    code = f"import sys, {imports}; sys.exit(str({heavy!r} & sys.modules.keys() or '') or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# -- doctor


def test_libraries_are_tried_in_a_child(monkeypatch, tmp_path):
    for name, content in (
        ("goodlib", "__version__ = '1.2'"),
        ("crashlib", "import os, signal; os.kill(os.getpid(), signal.SIGILL)"),
        ("brokenlib", "raise ImportError('libGL.so.1: cannot open shared object file')"),
        ("abilib", "raise ImportError('numpy.core.multiarray failed to import')"),
    ):
        (tmp_path / f"{name}.py").write_text(content)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    good = libraries.check_import("goodlib", needed=True)
    assert (good.state, good.what) == ("ok", "1.2")
    crash = libraries.check_import("crashlib", needed=True)
    assert (crash.state, "SIGILL" in crash.what) == ("failed", True)
    assert "processor" in crash.hint
    broken = libraries.check_import("brokenlib", needed=False)
    assert (broken.state, "libGL" in broken.what) == ("warning", True)
    assert "another numpy" in libraries.check_import("abilib", needed=True).hint
    missing = libraries.check_import("no_such_library", needed=True)
    assert (missing.state, missing.what) == ("failed", "not installed")


@pytest.mark.parametrize(
    ("python", "architecture", "bits", "words"),
    [
        ((3, 11), "aarch64", 64, "ai-edge-litert has wheels for Python 3.11"),
        ((3, 13), "aarch64", 64, "first choice"),
        ((3, 13), "x86_64", 64, "first choice"),
        ((3, 15), "aarch64", 64, "no TFLite runtime for Python 3.15"),
        ((3, 11), "armv7l", 32, "tflite-runtime 2.14 is the only"),
        ((3, 11), "aarch64", 32, "tflite-runtime 2.14 is the only"),  # 64-bit kernel, 32-bit system
        ((3, 13), "armv7l", 32, "64-bit Raspberry Pi OS"),
        ((3, 13), "riscv64", 64, "no TFLite runtime"),
    ],
)
def test_the_runtime_is_chosen_by_python_and_architecture(python, architecture, bits, words):
    assert words in libraries.recommend(python, architecture, bits=bits)


def test_findings_say_what_to_do(tmp_path):
    assert libraries.check_python((3, 9)).state == "failed"
    assert libraries.check_python((3, 11)).state == "ok"
    power = board.check_power(("under-voltage now",))
    assert (power.state, "supply" in power.hint) == ("warning", True)
    assert board.check_power(()).state == "ok"
    assert board.check_power(None).state == "ok"
    assert board.check_heat(85.0).state == "warning"
    assert board.check_heat(40.0).state == "ok"
    assert board.check_clock(synchronized=False).hint
    assert disk.check_store(tmp_path / "none").state == "failed"
    assert disk.check_disk(tmp_path / "none").state == "failed"


def test_a_full_disk_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.setattr(disk.files, "free_bytes", lambda _folder: 10_000_000)
    assert disk.check_disk(tmp_path).state == "warning"

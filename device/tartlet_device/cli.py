"""The command line of the device. Each command is a thin shell around the module that does it."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tartlet_device import __version__
from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_device.config import DeviceConfig
    from tartlet_shared.messages import Standing, Status

# Commands import what they need: `bridge` starts anew for each connection.

_DESCRIPTION = """\
tartlet on the device: a daemon owns the camera and the model and answers on a Unix socket, which
a laptop reaches over SSH. Nothing here opens a network port.

  tartlet-device doctor      what works here, and what to do about the rest
  tartlet-device serve       run the daemon (systemd does: systemctl status tartlet)
  tartlet-device status      how the running daemon is
"""
_EPILOG = """\
Exit codes: 0 done, 2 wrong usage, 3 wrong configuration, 31-33 bundle (damaged,
untrusted, older), 56 no daemon, 61-63 camera, 64 disk full, 65-69 model; 1 anything else.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except errors.TartletError as error:
        _print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter must not complain about it at exit.
        with contextlib.suppress(OSError):
            sys.stdout.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tartlet-device",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tartlet-device {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="TOML file; default /etc/tartlet/device.toml, which may be missing",
    )
    reporting = argparse.ArgumentParser(add_help=False)
    reporting.add_argument("--json", action="store_true", help="one JSON object, for programs")

    def add(
        name: str, run: object, text: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=text.splitlines()[0], description=text, parents=[common, *parents]
        )
        command.set_defaults(run=run)
        return command

    add(
        "serve",
        _serve,
        "run the daemon until SIGTERM\nLogs to stderr; under systemd that is the journal.",
    )
    bridge = add(
        "bridge",
        _bridge,
        "connect stdin and stdout to the daemon\n"
        "For SSH servers without forwarding to sockets; the laptop runs it by itself.",
    )
    bridge.add_argument("--socket", type=Path, help="the daemon's socket; default as configured")
    add(
        "gate",
        _gate,
        "do what a laptop asks for over SSH, if it is a part of tartlet\n"
        "The command of restricted keys in authorized_keys; see `tartlet device restrict`.",
    )
    add("status", _status, "show how the daemon, its camera and its model are", reporting)
    add("rollback", _rollback, "return to the model that served before", reporting)
    add("doctor", _doctor, "check this device and say what to do about what is wrong", reporting)
    return parser


def _serve(given: argparse.Namespace) -> int:
    from tartlet_device import daemon
    from tartlet_device.live_config import LiveConfig

    settings = _configured(given)
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s"
    )
    daemon.serve(LiveConfig(given.config, settings))
    return 0


def _bridge(given: argparse.Namespace) -> int:
    from tartlet_device import bridge, connecting

    path = given.socket or _configured(given).socket_path
    with contextlib.closing(connecting.connect(path)) as connection:
        bridge.bridge(connection)
    return 0


def _gate(given: argparse.Namespace) -> int:
    from tartlet_device import gate

    gate.enter(os.environ.get("SSH_ORIGINAL_COMMAND", ""), _configured(given))
    return 0


def _status(given: argparse.Namespace) -> int:
    from tartlet_device import local
    from tartlet_shared.messages import Status, StatusRequest

    status = local.ask(_configured(given).socket_path, StatusRequest(request_id=1))
    if not isinstance(status, Status):
        raise errors.MessageMalformed(f"a {type(status).__name__} instead of a status")
    if given.json:
        _print_json(status)
    else:
        print("\n".join(_status_lines(status)))
    return 0


def _status_lines(status: Status) -> list[str]:
    model = status.model
    temperature = "" if status.temperature_c is None else f"{status.temperature_c:.0f} °C"
    lines = [
        ("machine", f"{status.machine}, Python {status.python}"),
        ("model", "none" if model is None else f"{model.name} ({model.digest[:12]})"),
        *([("", f"! {status.model_error}")] if status.model_error else []),
        *([("", _standing_words(status.standing))] if status.standing else []),
        ("previous", "none" if status.previous is None else status.previous[:12]),
        ("camera", status.camera_error or f"{status.camera}, works"),
        ("runtimes", ", ".join(status.runtimes.values()) or "none"),
        ("detection", _detection_words(status)),
        ("memory", f"{status.resident_bytes / 1e6:.0f} MB"),
        ("disk", f"{status.free_bytes / 1e9:.1f} GB free"),
        ("temperature", temperature or "unknown"),
        ("power", "unknown" if status.throttled is None else ", ".join(status.throttled) or "good"),
        ("clock", "synchronized" if status.clock_synchronized else "not synchronized"),
        ("up for", f"{status.uptime_s / 60:.0f} min"),
    ]
    return [f"{name:12} {value}" for name, value in lines]


def _standing_words(standing: Standing) -> str:
    left = f"; went back from {standing.given_up[:12]}: {standing.why}" if standing.given_up else ""
    if standing.confirmed:
        return f"confirmed{left}"
    return f"on probation, healthy for {standing.healthy_s:.0f} of {standing.period_s:.0f} s{left}"


def _detection_words(status: Status) -> str:
    detection = status.detection
    if detection is None:
        return "off"
    return detection.fault or f"{detection.rate:.1f} frames/s, {detection.frames} looked at"


def _rollback(given: argparse.Namespace) -> int:
    from tartlet_device import local
    from tartlet_shared.push_messages import Activated, RollbackRequest

    reply = local.ask(_configured(given).socket_path, RollbackRequest(request_id=1))
    if not isinstance(reply, Activated):
        raise errors.MessageMalformed(f"a {type(reply).__name__} instead of an Activated")
    if given.json:
        _print_json(reply)
    else:
        print(f"model {reply.digest[:12]} serves again")
    return 0


def _doctor(given: argparse.Namespace) -> int:
    from tartlet_device import doctor

    checks = doctor.examine(_configured(given))
    if given.json:
        _print_json(checks)
    else:
        marks = {"ok": "ok     ", "warning": "WARNING", "failed": "FAILED "}
        for check in checks:
            print(f"{marks[check.state]} {check.name}: {check.what}")
            if check.hint:
                print(f"        → {check.hint}")
    return 1 if any(check.state == "failed" for check in checks) else 0


def _configured(given: argparse.Namespace) -> DeviceConfig:
    from tartlet_device import config

    return config.load(given.config)


def _print_json(value: object) -> None:
    import msgspec

    print(msgspec.json.encode(value).decode())


def _print_error(error: errors.TartletError) -> None:
    print(f"tartlet-device: {error}", file=sys.stderr)
    if error.hint:
        print(f"  → {error.hint}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

"""The ``tartlet`` command: a table of commands, each loaded when called, and one error exit."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from tartlet_host import __version__
from tartlet_host.commands.table import CommandTable
from tartlet_shared.errors import TartletError

COMMANDS: dict[str, tuple[str, str]] = {
    # name: (section, one line of help); the code is in tartlet_host/commands/<name>.py
    "demo": ("Start here", "Show the whole path on real footage, in ten minutes."),
    "init": ("Start here", "Start a project: a recipe and folders for your own pictures."),
    "doctor": ("Start here", "Check this laptop and your devices, and say what to mend."),
    "run": ("Make a model", "Follow a recipe from pictures to a bundle, with a report."),
    "data": ("Make a model", "Check, split and convert data sets, and see what training sees."),
    "label": ("Make a model", "Turn the footage of a fixed camera into training boxes."),
    "train": ("Make a model", "Train a detector on a labelled data set."),
    "describe": ("Make a model", "Show a network's layers, cost and memory before training it."),
    "tune": ("Make a model", "Search for a recipe's values by many short trainings."),
    "prune": ("Make a model", "Remove channels from a trained detector and fine-tune it."),
    "quantize": ("Make a model", "Convert a detector to int8 TFLite and ONNX."),
    "export": ("Make a model", "Write a detector as a float ONNX, TorchScript or TFLite file."),
    "evaluate": ("Make a model", "Measure accuracy and latency on a labelled data set."),
    "bench": ("Make a model", "Time models against each other, here or on a device."),
    "import": ("Make a model", "Seal someone else's .tflite or .onnx detector into a bundle."),
    "package": ("Make a model", "Seal a model with its golden pictures into a bundle."),
    "device": ("Use a device", "Add, list, remove and trust devices."),
    "key": ("Use a device", "Make keys that sign bundles, and let devices trust them."),
    "push": ("Use a device", "Send a bundle to a device and let it serve, once it proved itself."),
    "predict": ("Use a device", "Take a picture on the device and show what it sees."),
    "capture": ("Use a device", "Take photos with the device's camera."),
    "record": ("Use a device", "Record a clip of what the device's camera sees."),
    "watch": ("Use a device", "Show what the device sees, as it happens."),
    "events": ("Use a device", "List the events that the device kept, and fetch their pictures."),
    "status": ("Use a device", "Show how a device is."),
    "rollout": ("Use a device", "Go on with, look at and stop pushes to many devices."),
    "fleet": ("Use a device", "Show how all devices are, in one table."),
    "rollback": ("Use a device", "Return a device to its previous model."),
    "completion": ("More", "Print the script that makes the Tab key complete tartlet."),
}

INTERRUPTED = 130  # 128 + SIGINT, what shells report for Ctrl-C


@click.group(
    cls=CommandTable,
    package="tartlet_host.commands",
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command has --help with an example. Exit codes are listed in docs/errors.md.",
)
@click.version_option(__version__, "--version", prog_name="tartlet")
@click.option("-v", "--verbose", count=True, help="Say more; twice for debugging.")
def cli(verbose: int) -> None:
    """Train a small object detector, compress it, push it to a Raspberry Pi over SSH.

    \b
    The whole path in one command:  tartlet demo
    With your own Pi:               tartlet device add pi pi@raspberrypi.local
                                    tartlet push runs/latest/bundle
                                    tartlet predict
    """
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; the only place where an error becomes text and an exit code."""
    try:
        result: Any = cli.main(
            None if arguments is None else list(arguments),
            prog_name="tartlet",
            standalone_mode=False,
        )
        sys.exit(result if isinstance(result, int) else 0)
    except TartletError as error:
        _complain(error)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        print("tartlet: stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output (a pager, `head`) left; that is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _complain(_from_system(error))
        sys.exit(TartletError.exit_code)


def _from_system(error: OSError) -> TartletError:
    """A full disk, a missing permission: said like any other error, not as a traceback."""
    hints = {
        errno.ENOSPC: "free some space on this computer and run the command again",
        errno.EACCES: "check who owns the file, or work in a folder of your own",
        errno.EROFS: "this place is read-only; work in another folder",
    }
    return TartletError(
        error.strerror or str(error),
        where=str(error.filename or ""),
        hint=hints.get(error.errno or 0, ""),
    )


def _complain(error: TartletError) -> None:
    print(f"tartlet: {error}", file=sys.stderr)
    if error.hint:
        print(f"  what to do: {error.hint}", file=sys.stderr)
    print(f"  (error {error.code}, exit code {error.exit_code})", file=sys.stderr)
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        import traceback

        traceback.print_exception(error)


if __name__ == "__main__":
    main()

"""The ``tartlet`` command: a table of commands, each loaded when called, and one error exit."""

from __future__ import annotations

import errno
import importlib
import keyword
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from tartlet_host import __version__
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
    "push": ("Use a device", "Send a bundle to a device and let it serve, once it proved itself."),
    "predict": ("Use a device", "Take a picture on the device and show what it sees."),
    "capture": ("Use a device", "Take photos with the device's camera."),
    "status": ("Use a device", "Show how a device is."),
    "rollback": ("Use a device", "Return a device to its previous model."),
    "completion": ("More", "Print the script that makes the Tab key complete tartlet."),
}

INTERRUPTED = 130  # 128 + SIGINT, what shells report for Ctrl-C


def module_of(name: str) -> str:
    """The module of a command: its name, but where that is a word of Python's."""
    return f"{name}_model" if keyword.iskeyword(name) else name


class CommandTable(click.Group):
    """Knows every command's name and one line of help; imports a command only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"tartlet_host.commands.{module_of(cmd_name)}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib  # only needed after a typing mistake

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"There is no command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in dict.fromkeys(section for section, _ in COMMANDS.values()):
            rows = [(name, text) for name, (of, text) in COMMANDS.items() if of == section]
            with formatter.section(section):
                formatter.write_dl(rows)


@click.group(
    cls=CommandTable,
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

"""``tartlet data``: look at a data set, divide it, bring it into another form."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    # name: one line of help; the code is in the module of that name here
    "check": "Look for what spoils training, and draw contact sheets.",
    "split": "Divide a data set into training and validation.",
    "augment": "Show what training will see.",
    "convert": "Bring a data set of any known format into COCO's.",
}


class DataTable(click.Group):
    """Knows every command's name and one line of help; imports a command only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"tartlet_host.commands.data.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=DataTable)
def command() -> None:
    """Look at a data set before training on it.

    A data set is a folder or a plain .tar archive with COCO, Pascal VOC, YOLO, LabelMe or CVAT
    labels, or the label file itself; docs/data.md says what is read how.

    \b
    Example:
      tartlet data check photos
      tartlet data split photos -o data
      tartlet train data/train.json
    """

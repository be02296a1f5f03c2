"""``tartlet data``: look at a data set, divide it, bring it into another form."""

from __future__ import annotations

import click

from tartlet_host.commands.table import CommandTable

SECTION = "Commands"
COMMANDS = {
    # name: one line of help; the code is in the module of that name here
    "check": (SECTION, "Look for what spoils training, and draw contact sheets."),
    "split": (SECTION, "Divide a data set into training and validation."),
    "augment": (SECTION, "Show what training will see."),
    "convert": (SECTION, "Bring a data set of any known format into COCO's."),
}


@click.group(cls=CommandTable, package=__name__, table=COMMANDS)
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

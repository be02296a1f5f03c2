"""The `tartlet` command in this process, and the recipe of a network that trains fast."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner

from tartlet_host.cli import cli

SMALL = """
name = "squares"
labels = ["square"]
[input]
height = 64
width = 96
[model]
backbone = "plain"
width = 0.25
pretrained = false
strides = [8, 16]
neck_channels = 16
"""


def tartlet(*arguments: object) -> Any:
    """What the command gave; an error of ours is raised, any other exit but 0 fails the test."""
    result = CliRunner().invoke(cli, [str(each) for each in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result

"""The page about photos, clips and events names what the commands have."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import click
import pytest

from tartlet_device import Client
from tartlet_host.event_files import PATIENCE_S
from tartlet_host.remote.lasting import BACK_OFF_S

PAGE = (Path(__file__).parents[3] / "docs" / "capture.md").read_text()
_COMMON = {"--json", "--output", "--quality"}


def options(name: str) -> list[click.Option]:
    command = importlib.import_module(f"tartlet_host.commands.{name}").command
    return [each for each in command.params if isinstance(each, click.Option)]


@pytest.mark.parametrize("name", ["capture", "record", "events"])
def test_every_option_is_named(name: str) -> None:
    for option in options(name):
        names = {*option.opts, *option.secondary_opts}
        assert names & _COMMON or any(f"`{each}" in PAGE for each in names), option.opts


@pytest.mark.parametrize("option", ["--fps", "--bitrate"])
def test_defaults_are_those_of_the_command(option: str) -> None:
    (found,) = (each for each in options("record") if option in each.opts)
    assert f"| `{option}` | {found.default} |" in PAGE


def test_waits_are_those_of_the_code() -> None:
    *first, last = BACK_OFF_S
    assert f"after {', '.join(f'{each:g}' for each in first)} and then every {last:g}" in PAGE
    assert PATIENCE_S == 120
    assert "every two minutes" in PAGE


def test_every_method_of_the_client_is_named() -> None:
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        assert name.startswith("_") or name == "close" or f"`{name}(" in PAGE, method

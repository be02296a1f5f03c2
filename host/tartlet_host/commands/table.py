"""A group of commands that are imported only when one of them runs."""

from __future__ import annotations

import importlib
import keyword
from collections.abc import Mapping
from typing import Any

import click


class CommandTable(click.Group):
    """Knows every command's section, name and one line of help; `tartlet --help` imports none."""

    def __init__(
        self, *args: Any, package: str, table: Mapping[str, tuple[str, str]], **kwargs: Any
    ) -> None:
        """Take the table.

        Args:
            args, kwargs: of `click.Group`.
            package: where the modules are; each has a `command`.
            table: name -> section of the help, one line of help.
        """
        super().__init__(*args, **kwargs)
        self.package = package
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module = importlib.import_module(f"{self.package}.{module_of(cmd_name)}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.table and not args[0].startswith("-"):
            import difflib  # only needed after a typing mistake

            close = difflib.get_close_matches(args[0], self.table, n=1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"There is no command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in dict.fromkeys(section for section, _ in self.table.values()):
            rows = [(name, text) for name, (of, text) in self.table.items() if of == section]
            with formatter.section(section):
                formatter.write_dl(rows)


def module_of(name: str) -> str:
    """The module of a command: its name, but where that is a word of Python's."""
    return f"{name}_model" if keyword.iskeyword(name) else name

"""``tartlet completion``: the shell script for the Tab key."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that makes the Tab key complete tartlet in SHELL.

    \b
    bash:  tartlet completion bash >> ~/.bashrc
    zsh:   tartlet completion zsh  >> ~/.zshrc
    fish:  tartlet completion fish > ~/.config/fish/completions/tartlet.fish
    """
    maker = get_completion_class(shell)
    assert maker is not None  # the argument's choices are click's own shells
    click.echo(maker(ctx.find_root().command, {}, "tartlet", "_TARTLET_COMPLETE").source())

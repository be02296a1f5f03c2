from __future__ import annotations

import typing
from pathlib import Path

import pytest

from tartlet_host.remote import inventory, ssh
from tartlet_shared import conversation, messages

PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()


@pytest.mark.parametrize("kind", typing.get_args(messages.AnyMessage))
def test_every_message_is_in_the_page(kind: type) -> None:
    assert f"`{kind.__name__}`" in PAGE or f" {kind.__name__} {{" in PAGE


@pytest.mark.parametrize(
    "figure",
    [
        f"| TCP connection | {ssh.CONNECT_TIMEOUT_S:g} |",
        f"| an answer | {conversation.ANSWER_TIMEOUT_S:g} |",
        f"| {conversation.SLOW_ANSWER_TIMEOUT_S:g} |",
        inventory.DEFAULT_SOCKET,
        f"`{inventory.DEFAULT_BRIDGE}`",
    ],
)
def test_every_figure_in_the_page_is_the_one_in_the_code(figure: str) -> None:
    assert figure in PAGE


def test_both_sides_mean_the_same_socket() -> None:
    from tartlet_device import config

    assert inventory.DEFAULT_SOCKET == config.DEFAULT_SOCKET

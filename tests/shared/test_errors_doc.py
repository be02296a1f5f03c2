"""The page of exit codes names every error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tartlet_shared import errors

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("error", errors.all_errors(), ids=lambda error: error.code)
def test_the_page_has_a_row(error: type[errors.TartletError]) -> None:
    assert error.__doc__ is not None
    row = f"| {error.exit_code} | `{error.code}` | {error.__doc__.splitlines()[0]} |"
    assert row in PAGE

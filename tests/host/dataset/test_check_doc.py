"""docs/data.md names every kind of finding, with its level."""

from __future__ import annotations

import re
from pathlib import Path

from tartlet_host.dataset.findings import KINDS

DOCUMENT = Path(__file__).parents[3] / "docs" / "data.md"


def test_every_kind_of_finding_is_in_the_docs() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (error|warning) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert rows == [(name, kind.level) for name, kind in KINDS.items()]

"""What `tartlet device setup` knows of setup_pi.sh."""

from __future__ import annotations

import re
from pathlib import Path

from tartlet_host.remote import install

SCRIPT = Path(__file__).parents[3] / "setup_pi.sh"


def test_both_ask_for_as_much_free_disk() -> None:
    found = re.search(r"^NEEDED_MB=(\d+)$", SCRIPT.read_text(), re.MULTILINE)
    assert found is not None
    assert int(found[1]) == install.NEEDED_MB

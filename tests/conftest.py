"""What holds for all tests."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Tests count steps, not seconds: on a busy machine a deadline fails what is right.
settings.register_profile("tartlet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tartlet")

_ON_A_PI = Path("tests/system/pi")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Generator[None, None, None]:
    """Say at the end, in one line, that and why nothing ran on a Pi."""
    yield
    skipped = [
        report
        for report in terminalreporter.getreports("skipped")
        if _ON_A_PI in Path(report.nodeid.partition("::")[0]).parents
    ]
    reasons = {str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple)}
    if reasons:
        why = "; ".join(sorted(reason.removeprefix("Skipped: ") for reason in reasons))
        terminalreporter.write_line(
            f"{len(skipped)} tests on a Pi were skipped: {why}", yellow=True
        )

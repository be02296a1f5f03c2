"""Shell commands on a Pi, by OpenSSH's own client."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


def run(
    ssh: Sequence[str], command: str, *, check: bool = True, stdin: str = "", timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    Args:
        ssh: the client's command line, up to the address.
        command: for the shell there.
        check: it must end with code 0.
        stdin: for the command.
        timeout_s: after so many seconds it is given up.

    Raises:
        AssertionError: it ended with another code than 0, and ``check`` is set.
    """
    done = subprocess.run(
        [*ssh, command],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if check:
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done

"""A user's laptop: the `tartlet` command with a configuration of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tartlet_host.remote import inventory


@dataclass(frozen=True)
class Laptop:
    """One laptop.

    Attributes:
        config_dir: which devices it knows.
    """

    config_dir: Path

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Start a `tartlet` command."""
        return subprocess.Popen(
            [sys.executable, "-m", "tartlet_host.cli", *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, inventory.CONFIG_DIR_VARIABLE: str(self.config_dir)},
        )

    def run(self, *words: object, timeout_s: float = 900) -> subprocess.CompletedProcess[str]:
        """Run a `tartlet` command to its end."""
        process = self.start(*words)
        out, err = process.communicate(timeout=timeout_s)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def ask(self, *words: object) -> Any:
        """What a `tartlet` command answers as JSON.

        Raises:
            AssertionError: it failed.
        """
        done = self.run(*words, "--json")
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stderr}"
        return json.loads(done.stdout)

"""The process that a checkpoint is timed in; see `tartlet_device.benchmark_child`."""

from __future__ import annotations

import sys
from pathlib import Path

from tartlet_device import benchmark_child
from tartlet_device.runtime.base import Runtime


def main(arguments: list[str]) -> int:
    """Arguments: the checkpoint and, if there is to be one, the number of threads."""
    path, threads = Path(arguments[0]), int(arguments[1]) if len(arguments) > 1 else None

    def load() -> Runtime:
        from tartlet_host.evaluate.predictor import open_predictor

        return open_predictor(path, threads=threads).runtime

    return benchmark_child.serve(load)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

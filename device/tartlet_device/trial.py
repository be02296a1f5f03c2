"""Load a bundle and run its golden pictures, in a process that may crash.

A damaged model, or a runtime built for another processor, can take the whole process down. So a
model is tried in a child process before the daemon touches it: ``python -m tartlet_device.trial``
prints one line of JSON, an `Outcome`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import msgspec

from tartlet_device import child
from tartlet_shared import errors, messages
from tartlet_shared.messages import Failure, SelfTest

TIMEOUT_S = 120.0
"""Python, the runtime and a handful of pictures on the slowest Pi take a tenth of that."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the child prints: one of the two."""

    self_test: SelfTest | None = None
    failure: Failure | None = None


def run(
    folder: Path, digest: str, *, threads: int | None = None, timeout_s: float = TIMEOUT_S
) -> SelfTest:
    """Try a bundle in a child process.

    Args:
        folder: the bundle's.
        digest: what it must have.
        threads: for inference.
        timeout_s: after so many seconds the child is killed.

    Raises:
        BundleCorrupt: it is damaged, or the runtime crashed on it.
        RuntimeUnavailable: the runtime does not load or does not work on this processor.
        SelfTestFailed: the detections differ from the expected ones, or it took too long.
    """
    # -P: a module beside the working directory must not shadow an installed one.
    command = [sys.executable, "-P", "-m", "tartlet_device.trial", str(folder), digest]
    if threads is not None:
        command += ["--threads", str(threads)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env=child.environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise errors.SelfTestFailed(
            f"no result within {timeout_s:.0f} s", where=str(folder), hint="try a smaller model"
        ) from error
    return _outcome(done.returncode, done.stdout, done.stderr, folder)


def _outcome(code: int, output: bytes, log: bytes, folder: Path) -> SelfTest:
    if code < 0:
        raise child.killed(code, where=str(folder))
    try:
        outcome = msgspec.json.decode(output, type=Outcome)
    except msgspec.DecodeError as error:
        last = log.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
        raise errors.SelfTestFailed(
            f"the trial of the model ended with code {code}: {last[0]}", where=str(folder)
        ) from error
    if outcome.failure is not None:
        raise messages.to_error(outcome.failure)
    if outcome.self_test is None:
        raise errors.SelfTestFailed("the trial of the model gave no result", where=str(folder))
    return outcome.self_test


def main(arguments: list[str] | None = None) -> int:
    """The child: print an `Outcome` as JSON."""
    parser = argparse.ArgumentParser(prog="tartlet_device.trial", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("digest")
    parser.add_argument("--threads", type=int)
    given = parser.parse_args(arguments)
    try:
        outcome = Outcome(self_test=_try(given.folder, given.digest, given.threads))
    except errors.TartletError as error:
        outcome = Outcome(failure=messages.failure(0, error))
    sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
    return 0


def _try(folder: Path, digest: str, threads: int | None) -> SelfTest:
    from tartlet_device.detector import Detector
    from tartlet_device.health import self_test
    from tartlet_shared.bundle import open_bundle

    bundle = open_bundle(folder, expected_digest=digest)
    return self_test(Detector.open(bundle, threads=threads), bundle)


if __name__ == "__main__":
    sys.exit(main())

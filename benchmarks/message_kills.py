"""The daemon, or the laptop, is killed at every message of a push: what is broken afterwards."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from benchmarks.row import Row
from tartlet_device.config import ReplaySettings
from tartlet_host.remote import probe, pushing
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.rollout import Terms
from tartlet_host.remote.session import Session, open_session
from tartlet_shared import errors
from tartlet_shared.bundle import Bundle, open_bundle
from tartlet_shared.conversation import Stream

TERMS = Terms(confirm_s=0)
WHO = ("the daemon", "the laptop")
MOMENTS = ("before it is sent", "once it is sent", "before its answer is read")
_FILLER = 300_000


class Killed(Exception):
    """The laptop is no more."""


@dataclass(frozen=True)
class Point:
    """Who is killed, at which message of the laptop, and when."""

    who: str
    message: int
    moment: str

    def __str__(self) -> str:
        return f"{self.who}, message {self.message}, {self.moment}"


class _Watched:
    """A stream that tells of every message."""

    def __init__(self, stream: Stream, tell: Callable[[int, str], None]) -> None:
        self._stream, self._tell = stream, tell
        self.sent = 0
        self._answered = True

    def send(self, data: bytes) -> None:
        self._tell(self.sent, MOMENTS[0])
        self._stream.send(data)
        self._tell(self.sent, MOMENTS[1])
        self.sent += 1
        self._answered = False

    def recv(self, limit: int, timeout_s: float) -> bytes:
        received = self._stream.recv(limit, timeout_s)
        if not self._answered:
            self._answered = True
            self._tell(self.sent - 1, MOMENTS[2])
        return received

    def close(self) -> None:
        self._stream.close()


def run() -> list[Row]:
    """One row, which must be 0."""
    with device() as (embedded, bundles):
        count = messages(embedded, next(bundles))
        points = [
            Point(who, message, moment)
            for who, message, moment in itertools.product(WHO, range(count), MOMENTS)
        ]
        wrong = [each for point in points for each in killed(embedded, point, bundles)]
    print(f"{len(points)} kills, {len(wrong)} wrong", *wrong, sep="\n  ", file=sys.stderr)
    name = f"killed at {len(points)} moments of a push's {count} messages: states that are wrong"
    bad = len(wrong)
    return [Row(name=name, ours=bad, rival=0, ratio=bad, goal=0, holds=bad == 0)]


@contextlib.contextmanager
def device() -> Iterator[tuple[EmbeddedDevice, Iterator[Bundle]]]:
    """A device on which a model serves, and further bundles without end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spots = cv2.cvtColor(probe.spots_picture(), cv2.COLOR_RGB2BGR)
        (folder / "footage").mkdir()
        cv2.imwrite(str(folder / "footage" / "0.png"), spots)
        bundles = (
            probe.write_bundle(folder / f"b{number}", filler_bytes=_FILLER + number)
            for number in itertools.count()
        )
        camera = ReplaySettings(path=str(folder / "footage"), rate=0)
        with EmbeddedDevice(camera, threads=1) as embedded:
            _push(embedded, next(bundles))
            yield embedded, bundles


def messages(embedded: EmbeddedDevice, bundle: Bundle) -> int:
    """How many messages the laptop sends in a push."""
    with open_session(embedded.device) as session:
        watched = _watch(session, lambda message, moment: None)
        pushing.push_once(session, bundle, TERMS)
        return watched.sent


def killed(embedded: EmbeddedDevice, point: Point, bundles: Iterator[Bundle]) -> list[str]:
    """What is wrong after a push that was killed at a point, and after the same push again."""
    before, bundle = _serves(embedded), next(bundles)
    hit = False

    def kill(session: Session, message: int, moment: str) -> None:
        nonlocal hit
        if hit or (message, moment) != (point.message, point.moment):
            return
        hit = True
        if point.who == WHO[0]:
            assert embedded.daemon_pid is not None
            os.kill(embedded.daemon_pid, signal.SIGKILL)
            return
        session.connection._transport.sock.close()
        raise Killed

    with (
        contextlib.suppress(Killed, errors.ConnectionLost, errors.DaemonNotRunning),
        open_session(embedded.device) as session,
    ):
        _watch(session, lambda message, moment: kill(session, message, moment))
        pushing.push_once(session, bundle, TERMS)
    if not hit:
        return [f"{point}: there was no such moment"]
    if point.who == WHO[0]:
        embedded.restart_daemon()
    wrong = _wrong(embedded, {before, bundle.digest})
    try:
        _push(embedded, bundle)
    except errors.TartletError as error:
        wrong.append(f"the same push again: {error}")
    else:
        wrong += _wrong(embedded, {bundle.digest})
    return [f"{point}: {each}" for each in wrong]


def _wrong(embedded: EmbeddedDevice, allowed: set[str | None]) -> list[str]:
    """What is not as it should be, of the model that serves and of all that are stored."""
    wrong: list[str] = []
    try:
        with open_session(embedded.device) as session:
            found = session.client.predict()
        if found.model not in allowed:
            wrong.append(f"model {found.model[:12]} serves")
        if not found.detections:
            wrong.append("it sees nothing")
    except errors.TartletError as error:
        wrong.append(f"it does not serve: {error}")
    # Those with a dot are being made, or removed, just now.
    for folder in (embedded.store / "bundles").glob("[!.]*"):
        try:
            open_bundle(folder, expected_digest=folder.name)
        except errors.TartletError as error:
            wrong.append(f"{folder.name}: {error}")
    return wrong


def _serves(embedded: EmbeddedDevice) -> str | None:
    with open_session(embedded.device) as session:
        model = session.client.status().model
    return None if model is None else model.digest


def _push(embedded: EmbeddedDevice, bundle: Bundle) -> None:
    with open_session(embedded.device) as session:
        pushing.push_once(session, bundle, TERMS)


def _watch(session: Session, tell: Callable[[int, str], None]) -> _Watched:
    watched = _Watched(session.client._stream, tell)
    session.client._stream = watched
    return watched

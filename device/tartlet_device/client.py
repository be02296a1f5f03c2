"""For programs on the device: what the daemon sees, from Python.

::

    from tartlet_device import Client

    with Client() as device:
        for found in device.predict().objects:
            print(found.label, found.score, found.box)

The daemon owns the camera and the model; any number of programs may ask it. Errors are those of
`tartlet_shared.errors`, such as `CameraBusy` or `NoActiveModel`, whichever side they happened on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from tartlet_device import local
from tartlet_device.client_results import Photo, Prediction, encoded, objects_in
from tartlet_device.connecting import DEFAULT_SOCKET, connect
from tartlet_shared import client, errors
from tartlet_shared.conversation import ANSWER_TIMEOUT_S
from tartlet_shared.event_messages import ListedEvent
from tartlet_shared.event_record import EventQuery
from tartlet_shared.messages import Status
from tartlet_shared.watch_messages import Watched

if TYPE_CHECKING:
    from tartlet_device.client_results import Picture


class Client:
    """Asks the daemon, one thing at a time; not for two threads at once, which take one each.

    Connects when something is asked first, and again if the daemon was restarted meanwhile: the
    call that finds it gone raises `ConnectionLost`, the next one connects. Every method raises
    `DaemonNotRunning` where there is none to talk to.
    """

    def __init__(
        self,
        socket: str | Path = DEFAULT_SOCKET,
        *,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        """
        Args:
            socket: the daemon's, if its configuration names another.
            timeout_s: for each answer.
        """
        self._path = Path(socket)
        self._timeout_s = timeout_s
        self._open: client.Client | None = None

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            DaemonNotRunning: nobody listens, or this user may not connect.
        """
        self._connected()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.close()

    def predict(
        self,
        picture: bytes | str | Path | Picture | None = None,
        *,
        score_threshold: float | None = None,
        want_picture: bool = False,
    ) -> Prediction:
        """What the model sees.

        Args:
            picture: bytes of a JPEG or PNG, the path of one, or pixels, RGB uint8
                ``(rows, columns, 3)`` (OpenCV's are BGR: ``picture[..., ::-1]``); None for the
                camera's next frame.
            score_threshold: in ``[0, 1]``; None for the model's own.
            want_picture: have the camera's frame in the result.

        Raises:
            NoActiveModel: none serves.
            PictureUnreadable: it is no picture.
            TartletError: the camera does not work; says why.
        """
        content = b"" if picture is None else encoded(picture)
        with self._asking() as asked:
            given = asked.predict(
                content, score_threshold=score_threshold, want_picture=want_picture
            )
        return Prediction(
            objects=objects_in(given.detections, given.labels),
            width=given.width,
            height=given.height,
            model=given.model,
            timings=given.timings,
            frame=given.frame,
            jpeg=given.jpeg,
        )

    def capture(self, *, quality: int = 95, detect: bool = False) -> Photo:
        """A photo of the next frame.

        Args:
            quality: of the JPEG, 1-100.
            detect: have the model look at it, if one serves.

        Raises:
            TartletError: the camera does not work; says why.
        """
        (photo,) = self.burst(1, quality=quality, detect=detect)
        return photo

    def burst(self, count: int, *, quality: int = 95, detect: bool = False) -> Iterator[Photo]:
        """Photos of consecutive frames, none left out; see `capture`."""
        with self._asking() as asked:
            for taken in asked.capture(count, quality, detect=detect):
                seen = taken.seen
                yield Photo(
                    jpeg=taken.jpeg,
                    width=taken.width,
                    height=taken.height,
                    frame=taken.frame,
                    time_s=taken.time_s,
                    clock_synchronized=taken.clock_synchronized,
                    objects=None if seen is None else objects_in(seen.detections, seen.labels),
                )

    def watch(
        self,
        *,
        seconds: float | None = None,
        rate: float | None = None,
        want_picture: bool = False,
    ) -> Iterator[Watched]:
        """What is seen, frame after frame, and the events that begin and end.

        Args:
            seconds: for so long; None until the caller stops.
            rate: at most so many frames a second.
            want_picture: have each frame in ``jpeg``.
        """
        with self._asking() as asked:
            yield from asked.watch(seconds=seconds, rate=rate, want_picture=want_picture)

    def status(self) -> Status:
        """How the device is."""
        with self._asking() as asked:
            return asked.status()

    def events(
        self,
        *,
        since_s: float | None = None,
        until_s: float | None = None,
        label: str | None = None,
        rule: str | None = None,
        zone: str | None = None,
        order: Literal["oldest", "newest"] = "newest",
        after: int | None = None,
        limit: int = 100,
    ) -> tuple[ListedEvent, ...]:
        """Events that were kept; their files lie in the folder of `[events]`.

        Args:
            since_s, until_s: began in this range of Unix seconds, the end left out.
            label, rule, zone: only such; None for any.
            order: by sequence number.
            after: go on behind the event of this sequence number, in that order.
            limit: at most so many, 1-1000.

        Raises:
            DeviceError: none are kept; says what to do.
        """
        query = EventQuery(
            since_s=since_s,
            until_s=until_s,
            label=label,
            rule=rule,
            zone=zone,
            order=order,
            after=after,
            limit=limit,
        )
        with self._asking() as asked:
            return asked.events(query)

    # -- inside

    def _connected(self) -> client.Client:
        if self._open is None:
            stream = local.SocketStream(connect(self._path))
            opened = client.Client(stream, where=local.WHERE, timeout_s=self._timeout_s)
            try:
                opened.hello()
            except BaseException:
                opened.close()
                raise
            self._open = opened
        return self._open

    @contextlib.contextmanager
    def _asking(self) -> Generator[client.Client, None, None]:
        """One that breaks off in the middle is of no more use: the next call has another."""
        whole = False
        try:
            yield self._connected()
            whole = True
        except errors.TartletError as error:
            # The daemon's own refusal is an answer.
            whole = not isinstance(error, errors.RemoteError | errors.ProtocolError)
            raise
        finally:
            if not whole:
                self.close()

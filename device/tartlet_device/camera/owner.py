"""The one thread that owns the camera.

It opens the camera once and keeps it open. It opens it again after a fault, each time waiting a
little longer; and when another model needs pictures of another size. Everybody else orders frames
and waits for them with a time-out, so a camera that hangs blocks nobody for ever.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from tartlet_device.camera.base import Camera, Frame
from tartlet_device.camera.orders import FrameStream, Order
from tartlet_shared import errors
from tartlet_shared.messages import FrameInfo

_log = logging.getLogger(__name__)

FRAME_TIMEOUT_S = 2.5
"""A camera that gives no frame for so long is closed and opened again."""
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_BEAT_S = 0.5  # the thread looks up at least this often


class CameraOwner:
    """Hands out the frames of one camera to any number of threads."""

    def __init__(
        self,
        open_camera: Callable[[], Camera],
        *,
        fits: Callable[[Camera], bool] = lambda camera: True,
        frame_timeout_s: float = FRAME_TIMEOUT_S,
        back_off_s: Sequence[float] = BACK_OFF_S,
    ) -> None:
        """
        Args:
            open_camera: opens the camera, or raises an error that says why it cannot.
            fits: whether an open camera is still the one that is needed; if not, it is opened again
                as soon as nobody waits for a frame.
            frame_timeout_s: after so long without a frame the camera is opened again.
            back_off_s: waits before the first, second, ... attempt to open it again.

        Attributes ``grabbed`` and ``restarts`` count frames, and attempts to open it after a fault.
        """
        self._open_camera = open_camera
        self._fits = fits
        self._frame_timeout_s = frame_timeout_s
        self._back_off_s = back_off_s
        self._changed = threading.Condition()
        self._orders: list[Order] = []
        self._fault: errors.TartletError | None = None
        self._stopping = False
        self._open_since_s: float | None = None
        self.grabbed = self.restarts = 0
        self._beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def start(self) -> None:
        """Start the thread; it opens the camera on its own time."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Close the camera and end the thread; callers that wait get an error."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    @property
    def fault(self) -> errors.TartletError | None:
        """Why the camera does not deliver; None while it does."""
        return self._fault

    def alive(self, within_s: float) -> bool:
        """Whether the thread has looked up within the last ``within_s`` seconds."""
        return self._thread.is_alive() and time.monotonic() - self._beat < within_s

    def next_frame(
        self, timeout_s: float = FRAME_TIMEOUT_S, *, full: bool = True, fresh: bool = True
    ) -> Frame:
        """A frame that is taken after this call.

        Args:
            timeout_s: how long to wait.
            full: false if a picture just large enough for the model will do.
            fresh: false if it may be one that is under way already. A loop that waits for frames
                taken after it asked would miss every other one.

        Raises:
            CameraTimeout: none came within ``timeout_s`` seconds.
            TartletError: the camera does not work; says why.
        """
        with self.frames(1, timeout_s, full=full, fresh=fresh) as frames:
            return next(frames)

    def frames(
        self,
        count: int,
        timeout_s: float = FRAME_TIMEOUT_S,
        *,
        full: bool = True,
        fresh: bool = True,
    ) -> FrameStream:
        """``count`` consecutive frames, none left out, the first taken after this call, or under
        way already where it need not be ``fresh``.

        Raises:
            TartletError: the camera does not work; says why.
        """
        order = Order(count, full=full, fresh=fresh)
        with self._changed:
            if self._fault is not None:
                raise _copy(self._fault)
            if self._stopping:
                raise _stopping()
            order.open_since_s = self._open_since_s
            self._orders.append(order)
            self._changed.notify_all()
        return FrameStream(order, timeout_s)

    # -- in the thread

    def _run(self) -> None:
        failures = 0
        while not self._stopping:
            camera: Camera | None = None
            try:
                camera = self._open_camera()
                self._opened(time.monotonic())
                for _ in self._deliver(camera):
                    failures = 0
                if not self._stopping:
                    _log.info("the camera is opened again, to fit the model")
                    continue
            except errors.TartletError as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001  (a driver's; the thread must go on)
                _log.exception("the camera failed in a way nobody expected")
                self._fail(errors.DeviceError(f"the camera failed: {error!r}", where="camera"))
            finally:
                self._opened(None)
                if camera is not None:
                    camera.close()
            self._wait(self._back_off_s[min(failures, len(self._back_off_s) - 1)])
            failures += 1
            self.restarts += 1
        self._finish(_stopping())

    def _opened(self, since_s: float | None) -> None:
        """Those who wait do so from when the camera is open."""
        with self._changed:
            self._open_since_s = since_s
            for order in self._orders:
                order.open_since_s = since_s

    def _deliver(self, camera: Camera) -> Iterator[None]:
        """Grab frames for as long as it goes well; yields after each."""
        while self._wanted(camera):
            info = camera.grab(self._frame_timeout_s)
            self._beat = time.monotonic()
            self.grabbed += 1
            with self._changed:
                self._recovered()
                self._orders = [each for each in self._orders if not each.cancelled]
                orders = [each for each in self._orders if info.monotonic_ns >= each.since_ns]
            if orders:
                image = camera.retrieve(full=any(order.full for order in orders))
                for order in orders:
                    self._hand_over(order, Frame(image, info), waits=not camera.live)
            yield

    def _wanted(self, camera: Camera) -> bool:
        """Wait until a frame should be grabbed; False when stopping, or when it does not fit."""
        with self._changed:
            while not self._orders and not self._stopping:
                if not self._fits(camera):
                    return False
                if not camera.on_demand:
                    break
                self._beat = time.monotonic()
                # The camera is open and nobody has asked yet: that is no fault.
                self._recovered()
                self._changed.wait(_BEAT_S)
            return not self._stopping

    def _hand_over(self, order: Order, frame: Frame, *, waits: bool) -> None:
        lost = _lost(order.last_number, frame.info) if not waits else 0
        order.last_number = frame.info.number
        if lost:
            self._give_up(order, f"{lost} frames before frame {frame.info.number} were lost")
            return
        while not order.cancelled and not self._stopping:
            if order.put(frame, timeout_s=_BEAT_S if waits else 0.001):
                order.remaining -= 1
                break
            self._beat = time.monotonic()
            if not waits:
                waiting = order.results.qsize()
                self._give_up(
                    order, f"{waiting} frames are waiting and the connection is too slow for more"
                )
                return
        if order.remaining == 0 or order.cancelled:
            self._remove(order)

    def _give_up(self, order: Order, why: str) -> None:
        error = errors.DeviceError(
            why, where="camera", hint="ask for fewer photos at once, or for a lower rate"
        )
        self._remove(order)
        _put_error(order, error)

    def _remove(self, order: Order) -> None:
        with self._changed:
            self._orders = [each for each in self._orders if each is not order]

    def _recovered(self) -> None:
        if self._fault is not None:
            _log.info("the camera works again")
            self._fault = None

    def _fail(self, error: errors.TartletError) -> None:
        if self._fault is None or str(self._fault) != str(error):
            _log.warning("%s", str(error))
        # A copy: the error itself holds on to the frame that came before it.
        self._finish(_copy(error))

    def _finish(self, error: errors.TartletError) -> None:
        with self._changed:
            self._fault = error
            orders, self._orders = self._orders, []
        for order in orders:
            _put_error(order, _copy(error))

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._stopping and (left := deadline - time.monotonic()) > 0:
                self._beat = time.monotonic()
                self._changed.wait(min(left, _BEAT_S))
        self._beat = time.monotonic()


def _lost(last: int | None, info: FrameInfo) -> int:
    return 0 if last is None else info.number - last - 1


def _put_error(order: Order, error: errors.TartletError) -> None:
    """Tell the caller; frames still waiting are dropped if there is no room to say it."""
    while True:
        try:
            order.results.put_nowait(error)
        except queue.Full:
            order.results.get_nowait()
        else:
            return


def _copy(error: errors.TartletError) -> errors.TartletError:
    """The same error for another thread: a raised one collects that thread's traceback."""
    return type(error)(error.what, where=error.where, hint=error.hint)


def _stopping() -> errors.TartletError:
    return errors.DeviceError("the daemon is stopping", where="camera")

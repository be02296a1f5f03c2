"""The daemon answers before it has all its parts: these are put together in a thread meanwhile.

Libraries take longest to load. Nothing here imports them, so a small Pi greets its first caller
seconds earlier; requests wait for what they need.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from tartlet_device.child import early
from tartlet_device.child.early import EarlyChildren

if TYPE_CHECKING:
    from tartlet_device.handlers import Device
    from tartlet_device.live_config import LiveConfig
    from tartlet_shared.messages import ReplyMessage, RequestMessage

_log = logging.getLogger(__name__)


class Starting:
    """A device that is being put together, and then is there."""

    def __init__(self, live: LiveConfig, failed: Callable[[], None]) -> None:
        """Begin.

        Args:
            live: the configuration.
            failed: called, in the thread, when the device cannot be put together.
        """
        self._live, self._failed = live, failed
        # A store without a choice has no model to be loaded.
        chosen = (live.now.store_path / "serving.json").exists()
        self._children = EarlyChildren(*([early.MODEL] if chosen else []), early.CAMERA)
        self._stack = contextlib.ExitStack()
        self._device: Device | None = None
        self._error: BaseException | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="starting", daemon=True)
        self._thread.start()

    @property
    def device(self) -> Device | None:
        """The device, once it is there."""
        return self._device

    def answer(self, request: RequestMessage) -> Generator[ReplyMessage, None, None]:
        """As `handlers.answer`, when the device is there."""
        self._done.wait()
        if self._device is None:
            return
        from tartlet_device import handlers

        yield from handlers.answer(self._device, request)

    def end(self) -> None:
        """Stop the device.

        Raises:
            BaseException: what kept it from being put together.
        """
        self._thread.join()
        self._stack.close()
        self._children.close()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            from tartlet_device.allocator import return_memory_early
            from tartlet_device.assembly import assembled
            from tartlet_device.web.site import served

            return_memory_early()
            device = self._stack.enter_context(assembled(self._live, self._children))
            self._stack.enter_context(served(device))
            self._device = device
        except BaseException as error:  # noqa: BLE001  (raised again in the main thread)
            self._error = error
            self._failed()
        finally:
            self._done.set()

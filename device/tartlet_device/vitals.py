"""How the device is: every figure from one place, for whoever asks."""

from __future__ import annotations

import time
from pathlib import Path

from tartlet_device import files, machine
from tartlet_device.camera.owner import CameraOwner
from tartlet_device.continuous.service import Continuous
from tartlet_device.events.audience import EventKeeper
from tartlet_device.outputs.audience import Teller
from tartlet_device.power import PowerWatch
from tartlet_shared.health_messages import DetectionStatus, DeviceHealth


class Vitals:
    """Reads the figures. Safe to use from several threads."""

    def __init__(
        self,
        store: Path,
        *,
        camera: CameraOwner,
        continuous: Continuous,
        keeper: EventKeeper,
        teller: Teller,
    ) -> None:
        """
        Args:
            store: a folder on the disk to look at.
        """
        self._store = store
        self._camera, self._continuous = camera, continuous
        self._keeper, self._teller = keeper, teller
        self._started_s = time.monotonic()
        self.power = PowerWatch()

    def now(self) -> DeviceHealth:
        """All of them; some milliseconds on a small board."""
        power = self.power.now()
        memory = machine.contiguous_memory()
        free_bytes, read_only = self._disk()
        fault = self._camera.fault
        stages = (*self._continuous.stages(), *self._keeper.stages())
        return DeviceHealth(
            temperature_c=power.temperature_c,
            throttled=power.throttled,
            uptime_s=time.monotonic() - self._started_s,
            clock_synchronized=machine.clock_synchronized(),
            resident_bytes=machine.resident_bytes(),
            children=machine.children(),
            cma_free_bytes=None if memory is None else memory[0],
            cma_total_bytes=None if memory is None else memory[1],
            free_bytes=free_bytes,
            read_only=read_only,
            camera_frames=self._camera.grabbed,
            camera_restarts=self._camera.restarts,
            camera_fault="" if fault is None else str(fault),
            detection=self._detection(),
            stages=stages,
            events=self._keeper.health(),
            outputs=self._teller.health(),
            outputs_fault=self._teller.fault,
        )

    def _disk(self) -> tuple[int | None, bool]:
        try:
            return files.free_bytes(self._store), files.is_read_only(self._store)
        except OSError:
            return None, False

    def _detection(self) -> DetectionStatus | None:
        report = self._continuous.report()
        if report is None:
            return None
        figures, fault = report
        return DetectionStatus(
            frames=figures.frames,
            still=figures.still,
            rate=figures.rate,
            latency_p50_ms=figures.latency_p50_ms,
            latency_p95_ms=figures.latency_p95_ms,
            inference_p50_ms=figures.inference_p50_ms,
            inference_p95_ms=figures.inference_p95_ms,
            fault=fault,
        )

"""How a device is: one struct, for the laptop, MQTT and Prometheus."""

from __future__ import annotations

import msgspec


class PowerAndHeat(msgspec.Struct, frozen=True, kw_only=True):
    """What slows a board down.

    Attributes:
        temperature_c: of the processor; None where unknown.
        throttled: what a Raspberry Pi's firmware says, in words, see
            `tartlet_shared.throttling`; empty when all is well, None where unknown.
    """

    temperature_c: float | None = None
    throttled: tuple[str, ...] | None = None


class DetectionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How continuous detection goes.

    Attributes:
        frames, still: looked at since it began, and left out because nothing moved.
        rate: frames per second lately.
        latency_p50_ms, latency_p95_ms: from when a frame was taken to when its boxes were there;
            None before the first.
        inference_p50_ms, inference_p95_ms: of the model alone; None before the first.
        fault: why nothing is looked at now; empty while frames are.
    """

    frames: int
    still: int
    rate: float
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    inference_p50_ms: float | None = None
    inference_p95_ms: float | None = None
    fault: str = ""


class StageHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A queue between two threads of the device.

    Attributes:
        name: what items wait for: "inference", "tracking", "watchers", "recorder".
        waiting, most: items that wait, and how many may.
        dropped: left out since the stage began, because the next one was busy.
    """

    name: str
    waiting: int
    most: int
    dropped: int


class ProcessHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A process that the daemon started."""

    name: str
    pid: int
    resident_bytes: int


class OutputHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How an output is.

    Attributes:
        name: such as "mqtt".
        queued: items that wait, in memory and on disk.
        delivered: items given on since the start.
        dropped_observations, dropped_events: items thrown away because too many waited; events
            also because the other side refused them for good.
        connected: whether the other side is reached; None where there is none.
        last_error: empty while all is well.
    """

    name: str
    queued: int
    delivered: int
    dropped_observations: int = 0
    dropped_events: int = 0
    connected: bool | None = None
    last_error: str = ""


class EventsHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the keeping of events goes.

    Attributes:
        lost: events that were not kept, since too many waited for the disk.
        faults: what does not work at the moment: part -> why.
    """

    lost: int = 0
    faults: dict[str, str] = {}


class DeviceHealth(PowerAndHeat, frozen=True, kw_only=True):
    """How the device is.

    Attributes:
        uptime_s: seconds since the daemon started.
        clock_synchronized: whether the wall clock can be trusted.
        resident_bytes: the daemon's resident memory.
        children: the processes that it started.
        cma_free_bytes, cma_total_bytes: contiguous memory, which cameras need; None where unknown.
        free_bytes: of the disk with the store; None where unknown.
        read_only: whether that disk takes nothing.
        camera_frames, camera_restarts: frames that the camera gave, and how often it was opened
            again after a fault, both since the daemon started.
        camera_fault: why it does not deliver; empty while it does.
        detection: continuous detection; None while it is off.
        stages: its queues, and those of who follows it.
        events: None while none are kept.
        outputs: how each is.
        outputs_fault: why the outputs of the configuration are not used; empty while they are.
    """

    uptime_s: float
    clock_synchronized: bool
    resident_bytes: int
    children: tuple[ProcessHealth, ...] = ()
    cma_free_bytes: int | None = None
    cma_total_bytes: int | None = None
    free_bytes: int | None = None
    read_only: bool = False
    camera_frames: int = 0
    camera_restarts: int = 0
    camera_fault: str = ""
    detection: DetectionStatus | None = None
    stages: tuple[StageHealth, ...] = ()
    events: EventsHealth | None = None
    outputs: tuple[OutputHealth, ...] = ()
    outputs_fault: str = ""

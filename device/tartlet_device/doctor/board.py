"""Power, heat, memory for cameras, and the clock."""

from __future__ import annotations

from tartlet_device.doctor.check import Check
from tartlet_shared import throttling

_LEAST_CMA_BYTES = 8_000_000  # four buffers of 1280x720 in YUV are 5.5 MB


def check_power(throttled: tuple[str, ...] | None) -> Check:
    """What the firmware says about power and heat."""
    if throttled is None:
        return Check(name="power", state="ok", what="not a Raspberry Pi, or no access to it")
    if not throttled:
        return Check(name="power", state="ok", what="no under-voltage, not throttled")
    voltage = any("voltage" in words for words in throttled)
    hint = (
        "use the power supply made for this model and a short cable; power USB devices by a hub"
        if voltage
        else "cool it: a heat sink, or a fan"
    )
    if not throttling.now(throttled):
        hint += "; it is over now, and the flags stay until the next start"
    return Check(name="power", state="warning", what=", ".join(throttled), hint=hint)


def check_heat(temperature_c: float | None) -> Check:
    """The processor's temperature."""
    if temperature_c is None:
        return Check(name="heat", state="ok", what="unknown")
    what = f"{temperature_c:.0f} °C"
    if temperature_c >= throttling.HOT_C:
        return Check(name="heat", state="warning", what=what, hint="it slows down: cool it")
    return Check(name="heat", state="ok", what=what)


def check_clock(*, synchronized: bool) -> Check:
    """Whether dates in logs can be trusted."""
    if synchronized:
        return Check(name="clock", state="ok", what="set by a time server")
    return Check(
        name="clock",
        state="warning",
        what="not set by a time server since the start",
        hint="dates may be wrong; `timedatectl` shows more",
    )


def check_contiguous_memory(memory: tuple[int, int] | None, *, delivers: bool) -> Check:
    """Free and total bytes of what a Pi's own camera needs in one piece."""
    if memory is None:
        return Check(name="CMA", state="ok", what="none set aside on this system")
    free, total = memory
    what = f"{free / 1e6:.0f} of {total / 1e6:.0f} MB free"
    if delivers or free >= _LEAST_CMA_BYTES:
        return Check(name="CMA", state="ok", what=what)
    return Check(
        name="CMA",
        state="warning",
        what=what,
        hint="too little for a camera: make `photo` smaller, end other programs that use the "
        "camera or the screen, or set dtoverlay=vc4-kms-v3d,cma-128 in /boot/firmware/config.txt",
    )

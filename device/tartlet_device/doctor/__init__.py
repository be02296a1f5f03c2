"""Checks of the device: what is wrong, where, and what to do about it."""

from __future__ import annotations

import sys

from tartlet_device import machine
from tartlet_device.config import DeviceConfig
from tartlet_device.doctor import board, daemon, disk, libraries, unit
from tartlet_device.doctor.check import Check as Check


def examine(config: DeviceConfig) -> list[Check]:
    """All checks, in the order in which one would mend things. Never raises."""
    store = config.store_path
    status, of_daemon = daemon.examine_daemon(config)
    delivers = any(check.name == "camera" and check.state != "failed" for check in of_daemon)
    power = machine.throttled()
    if status is not None and status.throttled is not None:
        power = status.throttled  # the daemon remembers more
    checks = [
        libraries.check_python(sys.version_info[:2]),
        *(libraries.check_import(name, needed=True) for name in ("numpy", "msgspec", "cv2")),
        *libraries.check_runtimes(),
        unit.check_unit(unit.unit_properties()),
        *of_daemon,
        board.check_contiguous_memory(machine.contiguous_memory(), delivers=delivers),
        disk.check_store(store),
        disk.check_disk(store),
        disk.check_read_only(store),
        disk.check_wear(store),
        board.check_power(power),
        board.check_heat(machine.temperature_c()),
        board.check_clock(synchronized=machine.clock_synchronized()),
    ]
    return [check for check in checks if check is not None]

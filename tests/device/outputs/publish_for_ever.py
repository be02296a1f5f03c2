"""A process for tests to kill: publishes events and says which are on disk."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tartlet_device.outputs.mqtt import Mqtt
from tartlet_device.outputs.settings import MqttSettings
from tartlet_shared.health_messages import DeviceHealth
from tartlet_shared.observation import EventBegan

_FIGURES = DeviceHealth(uptime_s=0, clock_synchronized=False, resident_bytes=0)


def main() -> None:
    port, queue, count = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    settings = MqttSettings(host="127.0.0.1", port=port, retry_first_s=0.05, retry_longest_s=0.2)
    output = Mqtt(settings, device="killed", queue=queue, figures=lambda: _FIGURES)
    for number in range(count):
        output.publish(
            EventBegan(
                event_id=f"{number:013d}",
                rule="door",
                label="person",
                zone=None,
                track_id=None,
                time_s=0.0,
                clock_synchronized=False,
                monotonic_ns=0,
            )
        )
        while output.health().delivered == 0 and len(output._queue) <= number:
            time.sleep(0.001)
        print(number, flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main()

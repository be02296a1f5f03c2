"""What Home Assistant must be told to show the device: MQTT device discovery.

Source: Home Assistant's documentation of the MQTT integration, "Device discovery payload", which
versions since late 2024 know. One retained message describes the device and all its entities.
"""

from __future__ import annotations

import json

import msgspec

from tartlet_device import __version__
from tartlet_device.outputs.mqtt_topics import Announced, Topics, slug
from tartlet_device.outputs.settings import HomeAssistantSettings, MqttSettings

Component = dict[str, object]


def discovery_topic(settings: HomeAssistantSettings, device: str) -> str:
    """Where Home Assistant looks for it."""
    return f"{settings.discovery_prefix}/device/tartlet_{device}/config"


def discovery(
    settings: MqttSettings,
    topics: Topics,
    device: str,
    announced: Announced,
    removed: frozenset[str] = frozenset(),
    machine: str = "",
) -> bytes:
    """The message, JSON.

    Args:
        announced: what becomes a sensor.
        removed: keys of components that were there before, see `components`.
        machine: in words, such as "Raspberry Pi 5 Model B".
    """
    assert settings.home_assistant is not None
    described = components(settings, topics, device, announced)
    gone = {key: {"platform": key.partition("-")[0]} for key in sorted(removed - set(described))}
    return msgspec.json.encode(
        {
            "device": {
                "identifiers": [f"tartlet_{device}"],
                "name": settings.home_assistant.name or device,
                "manufacturer": "tartlet",
                "model": machine or "tartlet",
                "sw_version": __version__,
            },
            "origin": {"name": "tartlet", "sw_version": __version__},
            "availability_topic": topics.state,
            "payload_available": "online",
            "payload_not_available": "offline",
            "components": described | gone,
        }
    )


def components(
    settings: MqttSettings, topics: Topics, device: str, announced: Announced
) -> dict[str, Component]:
    """Entities by key; a key begins with its platform and a dash."""
    found: dict[str, Component] = {}

    def add(platform: str, key: str, name: str, **fields: object) -> None:
        found[f"{platform}-{key}"] = {
            "platform": platform,
            "unique_id": f"tartlet_{device}_{key}",
            "name": name,
            **fields,
        }

    if settings.detections:
        for label in announced.labels:
            add("sensor", f"count_{slug(label)}", label, **_count(topics, "counts", label))
            for zone in announced.zones:
                add(
                    "sensor",
                    f"count_{slug(zone)}.{slug(label)}",
                    f"{label} in {zone}",
                    **_count(topics, "zones", zone, label),
                )
    for rule in announced.rules:
        add("binary_sensor", f"rule_{slug(rule)}", rule, state_topic=topics.rule(rule))
    add(
        "sensor",
        "temperature",
        "Temperature",
        state_topic=topics.health,
        value_template="{{ value_json.temperature_c }}",
        device_class="temperature",
        state_class="measurement",
        unit_of_measurement="°C",
        entity_category="diagnostic",
    )
    add(
        "binary_sensor",
        "power_or_heat",
        "Power or heat",
        state_topic=topics.health,
        value_template="{{ 'ON' if value_json.throttled else 'OFF' }}",
        device_class="problem",
        entity_category="diagnostic",
    )
    if settings.pictures:
        add(
            "image",
            "last_event",
            "Last event",
            image_topic=topics.picture,
            content_type="image/jpeg",
        )
    return found


def _count(topics: Topics, *path: str) -> Component:
    """A sensor that reads one count of an observation; what is not named there is 0."""
    value = "value_json"
    for step in path[:-1]:
        value = f"({value}[{_literal(step)}] | default({{}}))"
    value = f"{value}[{_literal(path[-1])}] | default(0)"
    return {
        "state_topic": topics.detections,
        "value_template": f"{{{{ {value} }}}}",
        "state_class": "measurement",
    }


def _literal(text: str) -> str:
    # A Jinja string takes the escapes of a JSON one; braces are written so that none ends the
    # expression early.
    return json.dumps(text).replace("{", "\\u007b").replace("}", "\\u007d")

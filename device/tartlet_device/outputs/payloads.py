"""Items as JSON, the same in files, on MQTT and in webhooks."""

from __future__ import annotations

from collections import Counter

import msgspec

from tartlet_device.outputs.publisher import Event, Item
from tartlet_shared.observation import EventBegan, Observation


def delivery_key(event: Event) -> str:
    """The same for each delivery of the same event, such as "1763...-0001-9f/began"."""
    return f"{event.event_id}/{'began' if isinstance(event, EventBegan) else 'ended'}"


def encode(item: Item, device: str) -> bytes:
    """One item as a JSON object.

    It has ``device`` and ``kind``: "observation", "began" or "ended"; an event also has ``id``, its
    `delivery_key`; an observation ``counts``, objects for each class, and ``zones``, the same for
    each zone.
    """
    fields: dict[str, object] = {"device": device}
    if isinstance(item, Observation):
        fields |= {"kind": "observation", "counts": counts(item), "zones": zone_counts(item)}
    else:
        fields["id"] = delivery_key(item)
    return msgspec.json.encode(fields | msgspec.to_builtins(item))


def counts(observation: Observation) -> dict[str, int]:
    """How many objects of each class are seen."""
    return dict(Counter(track.label for track in observation.tracks))


def zone_counts(observation: Observation) -> dict[str, dict[str, int]]:
    """How many objects of each class are in each zone."""
    found: dict[str, Counter[str]] = {}
    for track in observation.tracks:
        for zone in track.zones:
            found.setdefault(zone, Counter())[track.label] += 1
    return {zone: dict(counter) for zone, counter in found.items()}

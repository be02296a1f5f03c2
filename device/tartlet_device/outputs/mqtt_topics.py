"""The names of MQTT topics, and of things in Home Assistant."""

from __future__ import annotations

import hashlib
import re

import msgspec

_PLAIN = re.compile(r"[a-zA-Z0-9_-]{1,48}")


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """What the device can tell about.

    Attributes:
        labels: the active model's classes.
        zones: names of zones.
        rules: names of rules.
    """

    labels: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


class Topics(msgspec.Struct, frozen=True):
    """Topics of one device, all below ``root``.

    Attributes:
        root: ``<prefix>/<device>``.
    """

    root: str

    @property
    def state(self) -> str:
        """ "online" or "offline", retained."""
        return f"{self.root}/state"

    @property
    def event(self) -> str:
        """Events as they begin and end."""
        return f"{self.root}/event"

    @property
    def detections(self) -> str:
        """Observations."""
        return f"{self.root}/detections"

    @property
    def health(self) -> str:
        """Figures about the device, retained."""
        return f"{self.root}/health"

    @property
    def picture(self) -> str:
        """JPEG of the last event, retained."""
        return f"{self.root}/picture"

    def rule(self, name: str) -> str:
        """ "ON" while an event of the rule goes on, else "OFF", retained."""
        return f"{self.root}/rule/{slug(name)}"


def slug(name: str) -> str:
    """A name as part of a topic: letters, digits, '_' and '-'; different for different names."""
    if _PLAIN.fullmatch(name):
        return name
    plain = re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:40]
    return f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"

"""What the configuration says about outputs; everything is off until its section is there."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Timeout = Annotated[float, msgspec.Meta(gt=0, le=120)]
Megabytes = Annotated[float, msgspec.Meta(ge=0.01, le=100_000)]
Entries = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]

_CREDENTIAL = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A key that nobody reads is an error."""


class SecretPlace(_Section, frozen=True):
    """Where a secret is; it never stands in the configuration itself. One of the two:

    Attributes:
        credential: name of a systemd credential (``LoadCredential=`` in the service's unit).
        file: a file of the daemon's user with mode 0600 (or 0400).
    """

    credential: Text | None = None
    file: Text | None = None

    def __post_init__(self) -> None:
        if (self.credential is None) == (self.file is None):
            raise ValueError("give either credential or file")
        name = self.credential
        if name is not None and (not _CREDENTIAL.fullmatch(name) or name in (".", "..")):
            raise ValueError("credential must be a plain name: letters, digits, '_', '-' and '.'")
        if self.file is not None and not self.file.startswith("/"):
            raise ValueError("file must be an absolute path")


class JsonLinesSettings(_Section, frozen=True):
    """Files of JSON lines, the oldest deleted at the cap.

    Attributes:
        folder: where they are.
        what: which items.
        observation_interval_s: at least so long between two observations; 0 for every one.
        file_mb, total_mb: of one file, and of all together.
    """

    folder: Text = "/var/lib/tartlet/json-lines"
    what: Literal["events", "observations", "all"] = "all"
    observation_interval_s: Seconds = 0.0
    file_mb: Megabytes = 8.0
    total_mb: Megabytes = 64.0

    def __post_init__(self) -> None:
        if self.total_mb < 2 * self.file_mb:
            raise ValueError("total_mb must be at least twice file_mb")


class TlsSettings(_Section, frozen=True):
    """Encryption to the broker or the receiver.

    Attributes:
        ca_file: whom to trust; None for the system's certificates.
        certificate_file: the device's own certificate, where the other side asks for one.
        key: its private key; belongs to ``certificate_file``.
    """

    ca_file: Text | None = None
    certificate_file: Text | None = None
    key: SecretPlace | None = None

    def __post_init__(self) -> None:
        if (self.certificate_file is None) != (self.key is None):
            raise ValueError("certificate_file and key belong together")


class HomeAssistantSettings(_Section, frozen=True):
    """Home Assistant finds the device by itself.

    Attributes:
        discovery_prefix: as set in Home Assistant.
        name: of the device there; None for the device's own.
    """

    discovery_prefix: Annotated[str, msgspec.Meta(pattern=r"^[^#+\x00]{1,128}$")] = "homeassistant"
    name: Text | None = None


class MqttSettings(_Section, frozen=True):
    """An MQTT broker.

    Attributes:
        host, port: of the broker; port None for 1883, or 8883 with TLS.
        protocol: version of MQTT.
        prefix, device: topics begin with ``<prefix>/<device>/``; device None for the host name.
        username, password: as the broker asks.
        tls: encryption; without it a password crosses the network in the clear.
        event_qos: 1 for at least once, 2 for exactly once between device and broker.
        detections_qos: 0 for at most once.
        detections: whether observations are published, at least ``detections_interval_s`` apart.
        health_interval_s: between two reports on the device's health.
        pictures: whether the picture of the last event is published.
        keepalive_s: a connection that is silent for one and a half times as long counts as lost.
        retry_first_s, retry_longest_s: waits between attempts to connect, doubled each time.
        queue_entries, queue_mb: how many events wait on disk while the broker is away.
        home_assistant: discovery; None for none.
    """

    host: Text
    port: Port | None = None
    protocol: Literal["3.1.1", "5"] = "5"
    prefix: Annotated[str, msgspec.Meta(pattern=r"^[^#+\x00$/][^#+\x00]{0,127}$")] = "tartlet"
    device: Name | None = None
    username: Text | None = None
    password: SecretPlace | None = None
    tls: TlsSettings | None = None
    event_qos: Literal[1, 2] = 1
    detections_qos: Literal[0, 1, 2] = 0
    detections: bool = True
    detections_interval_s: Seconds = 1.0
    health_interval_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 30.0
    pictures: bool = False
    keepalive_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 30
    timeout_s: Timeout = 10.0
    retry_first_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 1.0
    retry_longest_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0
    queue_entries: Entries = 10_000
    queue_mb: Megabytes = 16.0
    home_assistant: HomeAssistantSettings | None = None

    def __post_init__(self) -> None:
        if self.password is not None and self.username is None:
            raise ValueError("password needs a username")
        if self.prefix.endswith("/"):
            raise ValueError("prefix must not end with '/'")

    @property
    def broker_port(self) -> int:
        """Where the broker listens."""
        return self.port or (1883 if self.tls is None else 8883)


class WebhookSettings(_Section, frozen=True):
    """Each event as an HTTP POST.

    Attributes:
        name: tells several webhooks apart, in health reports and in the queue's file name.
        url: where to. Not both with ``url_secret``, for addresses that are a secret themselves.
        signing_secret: signs each request as Standard Webhooks does (HMAC-SHA256).
        ca_file: whom to trust for https; None for the system's certificates.
        timeout_s: of a whole request.
        retry_first_s, retry_longest_s: waits between attempts, doubled each time.
        queue_entries, queue_mb: how many events wait on disk while the receiver is away.
    """

    name: Name = "webhook"
    url: Text | None = None
    url_secret: SecretPlace | None = None
    signing_secret: SecretPlace | None = None
    ca_file: Text | None = None
    timeout_s: Timeout = 10.0
    retry_first_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 1.0
    retry_longest_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 600.0
    queue_entries: Entries = 10_000
    queue_mb: Megabytes = 16.0

    def __post_init__(self) -> None:
        if (self.url is None) == (self.url_secret is None):
            raise ValueError("give either url or url_secret")
        if self.url is not None and (wrong := wrong_url(self.url)):
            raise ValueError(f"url {wrong}")


class MetricsSettings(_Section, frozen=True):
    """Figures for Prometheus.

    Attributes:
        port: served at ``http://127.0.0.1:<port>/metrics``, to this machine only; None for not.
        textfile: written for node_exporter's textfile collector; must end with ``.prom``.
        textfile_interval_s: how often.
    """

    port: Port | None = None
    textfile: Annotated[str, msgspec.Meta(pattern=r"^/.*\.prom$")] | None = None
    textfile_interval_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 15.0

    def __post_init__(self) -> None:
        if self.port is None and self.textfile is None:
            raise ValueError("give port, textfile or both")


class OutputsSettings(_Section, frozen=True):
    """All outputs; those that are None are off.

    Attributes:
        json_lines, mqtt, metrics: one each.
        webhooks: at most eight.
    """

    json_lines: JsonLinesSettings | None = None
    mqtt: MqttSettings | None = None
    webhooks: Annotated[tuple[WebhookSettings, ...], msgspec.Meta(max_length=8)] = ()
    metrics: MetricsSettings | None = None

    def __post_init__(self) -> None:
        names = [webhook.name for webhook in self.webhooks]
        if len(set(names)) != len(names):
            raise ValueError("webhooks need different names")


def wrong_url(url: str) -> str:
    """Why a webhook cannot be sent to ``url``; empty if it can. Never shows the address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not an address"
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return "must begin with http:// or https:// and name a host"
    if parts.username is not None or parts.password is not None:
        return "must not contain a password; use url_secret, or a secret path"
    if any(ord(letter) <= 32 or ord(letter) > 126 for letter in url):
        return "must be printable ASCII without spaces"
    return ""

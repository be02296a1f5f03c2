"""Each event as an HTTP POST, from a queue on disk, until the receiver has taken it.

Signed as https://www.standardwebhooks.com says: headers ``webhook-id``, ``webhook-timestamp`` and
``webhook-signature``, the last an HMAC-SHA256 over ``id.timestamp.body``. Events keep their order;
each has the same ``webhook-id`` however often it is sent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from tartlet_device.outputs import credentials, retry
from tartlet_device.outputs.http_post import Answer, Poster, PostFailed
from tartlet_device.outputs.keeping import Keeper
from tartlet_device.outputs.publisher import Conveyor, Fault, Item, OutputHealth
from tartlet_device.outputs.queue_on_disk import Entry, QueueOnDisk
from tartlet_device.outputs.settings import WebhookSettings, wrong_url
from tartlet_shared import errors
from tartlet_shared.observation import Observation

_IDLE_S = 5.0
_TAKEN = range(200, 300)
_REFUSED_FOR_GOOD = (400, 413, 422)
"""The receiver understood and does not want this very event: sending it again is no use."""


class Webhook:
    """The output."""

    def __init__(
        self,
        settings: WebhookSettings,
        *,
        device: str,
        queue: Path,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """Read the secrets and start.

        Args:
            device: name that the receiver knows it by.
            queue: file for events that wait.
            environment: where systemd says where credentials are.

        Raises:
            ConfigError: a secret or an address cannot be used.
        """
        key = f"outputs.webhooks.{settings.name}"
        self._settings = settings
        self._signing_key = (
            None
            if settings.signing_secret is None
            else _signing_key(
                credentials.read(settings.signing_secret, f"{key}.signing_secret", environment)
            )
        )
        self._poster = Poster(
            _url(settings, key, environment), settings.timeout_s, _ca(settings, key)
        )
        self._queue = QueueOnDisk(
            queue, max_entries=settings.queue_entries, max_bytes=int(settings.queue_mb * 1e6)
        )
        self._delivered = self._refused = 0
        self._connected: bool | None = None
        self._fault = Fault(settings.name)
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._conveyor = Conveyor(
            f"{settings.name}-queue", Keeper(self._queue, device, self._wake.set)
        )
        self._thread = threading.Thread(target=self._run, name=settings.name, daemon=True)
        self._thread.start()

    def publish(self, item: Item) -> None:
        """Take an event; observations are not sent."""
        if not isinstance(item, Observation):
            self._conveyor.mailbox.put(item)

    def health(self) -> OutputHealth:
        """How it is."""
        mailbox = self._conveyor.mailbox
        return OutputHealth(
            name=self._settings.name,
            queued=len(mailbox) + len(self._queue),
            delivered=self._delivered,
            dropped_events=mailbox.dropped_events + self._queue.dropped + self._refused,
            connected=self._connected,
            last_error=self._fault.text or self._conveyor.fault.text,
        )

    def stop(self, timeout_s: float = 5.0) -> None:
        """Write down what waits, break off what is being sent, end the threads."""
        deadline = time.monotonic() + timeout_s
        self._conveyor.stop(timeout_s / 2)
        self._stopping.set()
        self._wake.set()
        self._poster.abort()
        self._thread.join(max(0.0, deadline - time.monotonic()))
        self._queue.close()

    # -- in the thread

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                waiting = self._queue.first()
                asked = self._send(waiting[0]) if waiting else None
            except PostFailed as error:
                failures += 1
                if not self._stopping.is_set():
                    self._fault.set(str(error))
                self._connected = error.answered
                self._stopping.wait(self._pause_s(failures, error.retry_after_s))
                continue
            except errors.TartletError as error:  # the queue's
                failures += 1
                self._fault.set(str(error))
                self._stopping.wait(self._pause_s(failures, None))
                continue
            failures = 0
            if not waiting:
                self._wake.wait(_IDLE_S)
                self._wake.clear()
            elif asked is not None:
                self._stopping.wait(asked)

    def _send(self, entry: Entry) -> float | None:
        """Send one event; returns how long the receiver asked to be left alone after it."""
        answer = self._poster.post(entry.content, self._headers(entry))
        self._connected = True
        if answer.status in _REFUSED_FOR_GOOD:
            self._refused += 1
            self._fault.set(f"{self._poster.place} refused an event: {answer.words}")
        elif answer.status in _TAKEN:
            self._delivered += 1
            self._fault.clear()
        else:
            raise PostFailed(
                f"{self._poster.place} answered {answer.words}",
                retry_after_s=_asked(answer),
                answered=True,
            )
        self._queue.acknowledge(entry.number)
        return _asked(answer)

    def _headers(self, entry: Entry) -> dict[str, str]:
        # An event's key has a slash; ids of this standard have none.
        identifier = entry.key.replace("/", "-")
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": identifier,
            "webhook-timestamp": timestamp,
        }
        if self._signing_key is not None:
            headers["webhook-signature"] = signature(
                self._signing_key, identifier, timestamp, entry.content
            )
        return headers

    def _pause_s(self, failures: int, asked: float | None) -> float:
        settings = self._settings
        own = retry.back_off_s(failures, settings.retry_first_s, settings.retry_longest_s)
        return own if asked is None else max(asked, own)


def signature(key: bytes, identifier: str, timestamp: str, body: bytes) -> str:
    """The header ``webhook-signature`` (Standard Webhooks 1.0, symmetric)."""
    signed = f"{identifier}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _signing_key(secret: credentials.Secret) -> bytes:
    """The key: what follows "whsec_" is base64, as the standard has it; else the text itself."""
    text = secret.reveal()
    if text.startswith("whsec_"):
        try:
            return base64.b64decode(text.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return text.encode()


def _asked(answer: Answer) -> float | None:
    return retry.retry_after_s(answer.retry_after, date=answer.date, now_s=time.time())


def _url(settings: WebhookSettings, key: str, environment: Mapping[str, str]) -> str:
    if settings.url is not None:
        return settings.url
    assert settings.url_secret is not None
    url = credentials.read(settings.url_secret, f"{key}.url_secret", environment).reveal()
    if wrong := wrong_url(url):
        raise errors.ConfigError(f"the address {wrong}", where=f"{key}.url_secret")
    return url


def _ca(settings: WebhookSettings, key: str) -> str | None:
    path = settings.ca_file
    if path is not None and not Path(path).is_file():
        raise errors.ConfigError(f"{path} is missing", where=f"{key}.ca_file")
    return path

"""One connection to an MQTT broker, driven by one thread; after a loss a new one is made.

Nothing is carried over from one connection to the next: what must not be lost waits in the queue on
disk, and would otherwise be sent twice, by paho and by us.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import time

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tartlet_device.outputs.credentials import Secret
from tartlet_device.outputs.settings import MqttSettings

_PROTOCOLS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}
BUSY = 32
"""Messages that may be on their way to the broker at once."""


class SessionEnded(Exception):
    """The connection is gone; says why, for people."""


class Waker:
    """Wakes a thread that waits for a socket."""

    def __init__(self) -> None:
        self.reader, self._writer = socket.socketpair()
        self.reader.setblocking(False)
        self._writer.setblocking(False)

    def wake(self) -> None:
        """From any thread."""
        with contextlib.suppress(OSError):  # full: it will wake anyway; closed: nobody sleeps
            self._writer.send(b"!")

    def rest(self) -> None:
        """Forget what woke it."""
        with contextlib.suppress(OSError):
            self.reader.recv(4096)

    def close(self) -> None:
        """Let go of the sockets."""
        self.reader.close()
        self._writer.close()


class Session:
    """A connection; `open` it first."""

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        will_topic: str,
        password: Secret | None,
        tls: ssl.SSLContext | None,
        waker: Waker,
    ) -> None:
        self._settings = settings
        self._waker = waker
        self._answered = False
        self._refused = self._lost = ""
        self._unacknowledged: set[int] = set()
        self._acknowledged: list[int] = []
        protocol = _PROTOCOLS[settings.protocol]
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=protocol,
            clean_session=True if protocol == MQTTProtocolVersion.MQTTv311 else None,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = settings.timeout_s
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.will_set(will_topic, "offline", qos=1, retain=True)
        if settings.username is not None:
            self._client.username_pw_set(
                settings.username, None if password is None else password.reveal()
            )
        if tls is not None:
            self._client.tls_set_context(tls)

    def open(self) -> None:
        """Connect and wait for the broker's answer.

        Raises:
            SessionEnded: it cannot be reached, or refuses.
        """
        settings = self._settings
        try:
            self._client.connect(
                settings.host,
                settings.broker_port,
                keepalive=settings.keepalive_s,
                clean_start=True if settings.protocol == "5" else paho.MQTT_CLEAN_START_FIRST_ONLY,
            )
        except OSError as error:
            raise SessionEnded(f"cannot be reached: {_words(error)}") from error
        deadline = time.monotonic() + settings.timeout_s
        while not self._answered:
            left = deadline - time.monotonic()
            if left <= 0:
                raise SessionEnded(f"gave no answer within {settings.timeout_s:g} s")
            self.step(left)

    @property
    def busy(self) -> bool:
        """Whether the network does not keep up; then only what must not be lost is sent."""
        return len(self._unacknowledged) >= BUSY or self._client.want_write()

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool = False) -> int:
        """Send a message; returns its id, which `take_acknowledged` will give.

        Raises:
            SessionEnded: the connection is gone.
        """
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        self._check()
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise SessionEnded(paho.error_string(info.rc))
        if qos:
            self._unacknowledged.add(info.mid)
        return info.mid

    def take_acknowledged(self) -> list[int]:
        """Ids of messages that the broker has taken since the last call."""
        acknowledged, self._acknowledged = self._acknowledged, []
        return acknowledged

    def step(self, timeout_s: float) -> None:
        """Move bytes; returns after ``timeout_s`` seconds at the latest, or when woken.

        Raises:
            SessionEnded: the connection is gone.
        """
        connection = self._client.socket()
        if connection is None:
            self._check()
            raise SessionEnded("the connection was closed")
        pending = connection.pending() if isinstance(connection, ssl.SSLSocket) else 0
        events = selectors.EVENT_READ
        if self._client.want_write():
            events |= selectors.EVENT_WRITE
        with selectors.PollSelector() as selector:
            selector.register(connection.fileno(), events)
            selector.register(self._waker.reader, selectors.EVENT_READ)
            ready = {key.fd: mask for key, mask in selector.select(0 if pending else timeout_s)}
        if self._waker.reader.fileno() in ready:
            self._waker.rest()
        mask = ready.get(connection.fileno(), 0)
        if mask & selectors.EVENT_READ or pending:
            self._client.loop_read()
            self._check()
        if mask & selectors.EVENT_WRITE:
            self._client.loop_write()
        self._client.loop_misc()
        self._check()

    def flush(self, timeout_s: float) -> None:
        """Wait until the broker has acknowledged everything, at most ``timeout_s`` seconds."""
        deadline = time.monotonic() + timeout_s
        with contextlib.suppress(SessionEnded):
            while self._client.want_write() or self._unacknowledged:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self.step(min(left, 0.5))

    def close(self) -> None:
        """Say good-bye, as far as that is possible at once."""
        with contextlib.suppress(OSError, ValueError):
            self._client.disconnect()
        connection = self._client.socket()
        if connection is not None:
            connection.close()

    def _check(self) -> None:
        if self._refused:
            raise SessionEnded(self._refused)
        if self._lost:
            raise SessionEnded(self._lost)

    # -- called by paho, in the thread that steps

    def _on_connect(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._answered = True
        if reason.is_failure:
            self._refused = f"refuses the connection: {reason}"
            name = str(reason).lower()
            if "user name" in name or "authori" in name:
                self._refused += "; check username and password"

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._lost = f"the connection was lost: {reason}"

    def _on_publish(
        self,
        client: paho.Client,
        userdata: object,
        mid: int,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._unacknowledged.discard(mid)
        if reason.is_failure:
            self._refused = f"refuses a message: {reason}"
        else:
            self._acknowledged.append(mid)


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "timed out"
    return error.strerror or str(error)

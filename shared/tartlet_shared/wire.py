"""Framing without I/O: bytes in, messages out.

A frame is a 4-byte big-endian length and that many bytes of MessagePack. Nothing here reads or
writes a socket, so the same code serves a Unix socket, an SSH channel, stdin and a test.
"""

from __future__ import annotations

import struct
from typing import NoReturn

import msgspec

from tartlet_shared import errors
from tartlet_shared.messages import AnyMessage

MAX_FRAME = 64 << 20
"""Bytes. A 12-megapixel JPEG is 3-8 MB; a peer that announces more than this is broken, and the
receiver must not buffer without an end."""

_LENGTH = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: AnyMessage, *, max_frame: int = MAX_FRAME) -> bytes:
    """A message as one frame.

    Raises:
        MessageTooLarge: it would be longer than ``max_frame`` bytes.
    """
    payload = _encoder.encode(message)
    if len(payload) > max_frame:
        raise errors.MessageTooLarge(
            f"a {type(message).__name__} of {len(payload)} bytes is over the limit of {max_frame}",
            hint="ask for a smaller picture or a lower quality",
        )
    return _LENGTH.pack(len(payload)) + payload


class Decoder:
    """Collects bytes and gives out the messages that are complete.

    After an error the stream has no known boundary any more: every later call raises it again,
    and the connection must be closed.
    """

    def __init__(self, *, max_frame: int = MAX_FRAME) -> None:
        self._max_frame = max_frame
        self._buffer = bytearray()
        self._error: errors.ProtocolError | None = None

    def feed(self, received: bytes | bytearray | memoryview) -> list[AnyMessage]:
        """Add bytes, split anywhere; return the messages completed by them, in order.

        Raises:
            MessageTooLarge: a frame announces more than the limit.
            MessageMalformed: a frame is not a known message. Messages before it in the same call
                are lost with the connection.
        """
        if self._error is not None:
            raise self._error
        self._buffer += received
        messages: list[AnyMessage] = []
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if length > self._max_frame:
                self._fail(
                    errors.MessageTooLarge(
                        f"a frame of {length} bytes is announced, the limit is {self._max_frame}",
                        hint="is something other than tartlet writing to this connection?",
                    )
                )
            end = start + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            with memoryview(self._buffer) as view:
                messages.append(self._parse(view[start + _LENGTH.size : end]))
            start = end
        del self._buffer[:start]
        return messages

    def finish(self) -> None:
        """The peer closed the connection.

        Raises:
            MessageMalformed: in the middle of a frame.
        """
        if self._error is None and self._buffer:
            self._fail(errors.MessageMalformed("the connection ended in the middle of a message"))

    def _parse(self, payload: memoryview) -> AnyMessage:
        with payload:
            try:
                return _decoder.decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                self._fail(
                    errors.MessageMalformed(
                        f"{len(payload)} bytes are not a known message: {error}",
                        hint="laptop and Pi may run different versions of tartlet",
                    )
                )

    def _fail(self, error: errors.ProtocolError) -> NoReturn:
        self._error = error
        raise error

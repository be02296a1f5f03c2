from __future__ import annotations

import os
import socket
import threading

import pytest

from tartlet_device.bridge import bridge
from tartlet_shared import errors


@pytest.fixture
def bridged():
    """A bridge in a thread: what it reads from, what it writes to, and the daemon's end."""
    ours, daemon = socket.socketpair()
    input_reading, input_writing = os.pipe()
    output_reading, output_writing = os.pipe()
    raised = []

    def run():
        try:
            bridge(ours, input_reading, output_writing)
        except errors.TartletError as error:
            raised.append(error)
        finally:
            os.close(output_writing)
            ours.close()

    thread = threading.Thread(target=run)
    thread.start()
    daemon.settimeout(10)
    with os.fdopen(input_writing, "wb", 0) as giving, os.fdopen(output_reading, "rb", 0) as taking:
        yield giving, taking, daemon, raised, thread
        daemon.close()
    thread.join(10)
    os.close(input_reading)
    assert not thread.is_alive()


def receive(daemon, length):
    got = b""
    while len(got) < length:
        got += daemon.recv(1 << 16)
    return got


def test_all_bytes_pass_both_ways_unchanged(bridged):
    giving, taking, daemon, *_ = bridged
    every = bytes(range(256)) * 4000
    threading.Thread(target=giving.write, args=(every,), daemon=True).start()
    assert receive(daemon, len(every)) == every
    threading.Thread(target=daemon.sendall, args=(every,), daemon=True).start()
    got = b""
    while len(got) < len(every):
        got += taking.read(1 << 16)
    assert got == every


def test_replies_still_pass_after_the_input_has_ended(bridged):
    giving, taking, daemon, _, thread = bridged
    giving.write(b"question")
    giving.close()
    assert receive(daemon, 8) == b"question"
    assert daemon.recv(10) == b""  # told that no more comes
    daemon.sendall(b"answer")
    daemon.close()
    assert taking.read(100) == b"answer"
    thread.join(10)


def test_it_ends_when_the_daemon_closes(bridged):
    _, taking, daemon, raised, thread = bridged
    daemon.close()
    assert taking.read(100) == b""
    thread.join(10)
    assert not raised


def test_a_daemon_that_sends_before_it_reads_does_not_block_it(bridged):
    giving, taking, daemon, *_ = bridged
    # More input than all buffers hold, while the daemon reads nothing and only sends.
    much = bytes(3_000_000)
    writer = threading.Thread(target=giving.write, args=(much,), daemon=True)
    writer.start()
    daemon.sendall(b"early reply")
    assert taking.read(100) == b"early reply"
    assert receive(daemon, len(much)) == much
    writer.join(10)


def test_a_daemon_that_dies_is_an_error(bridged):
    giving, _, daemon, raised, thread = bridged
    giving.write(b"x" * 1000)
    # Closing with unread bytes resets the connection.
    threading.Event().wait(0.05)
    daemon.close()
    giving.write(b"more")
    thread.join(10)
    assert [type(error) for error in raised] == [errors.ConnectionLost]

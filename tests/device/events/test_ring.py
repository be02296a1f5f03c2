from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.events.packet import VideoFormat, VideoPacket
from tartlet_device.events.ring import PacketRing

FORMAT = VideoFormat(32, 32, b"\x67", b"\x68")
SECOND = 10**9

STEPS = st.lists(
    st.tuples(st.integers(1, 3 * SECOND), st.booleans(), st.integers(0, 400)), max_size=60
)


def filled(ring: PacketRing, steps: list[tuple[int, bool, int]]) -> list[VideoPacket]:
    time_ns, packets = 0, []
    for gap, key, size in steps:
        time_ns += gap
        packets.append(VideoPacket(bytes(size), time_ns, key, FORMAT))
        ring.put(packets[-1])
    return packets


@given(steps=STEPS, before_s=st.integers(0, 10))
def test_it_gives_all_from_the_last_key_frame_before_the_time_on(steps, before_s):
    ring = PacketRing(seconds=before_s, most_bytes=10**9)
    packets = filled(ring, steps)
    if not packets:
        assert ring.since(0) == []
        return
    wanted_ns = packets[-1].monotonic_ns - round(before_s * SECOND)
    keys = [number for number, packet in enumerate(packets) if packet.key]
    early = [number for number in keys if packets[number].monotonic_ns <= wanted_ns]
    start = early[-1] if early else (keys[0] if keys else len(packets))
    assert ring.since(wanted_ns) == packets[start:]


@given(steps=STEPS, seconds=st.floats(0, 5), most=st.integers(0, 3000))
def test_it_is_bounded_and_always_starts_with_a_key_frame(steps, seconds, most):
    ring = PacketRing(seconds=seconds, most_bytes=most)
    time_ns = 0
    for gap, key, size in steps:
        time_ns += gap
        ring.put(VideoPacket(bytes(size), time_ns, key, FORMAT))
        held = ring.since(-1)
        assert ring.nbytes == sum(len(packet.content) for packet in held) <= most
        if held:
            assert held[0].key
            # The second group begins after the time that can be asked for, or the first would go.
            later = [packet for packet in held[1:] if packet.key]
            assert all(packet.monotonic_ns > time_ns - seconds * SECOND - 1 for packet in later)


def test_it_keeps_just_what_can_be_asked_for():
    ring = PacketRing(seconds=2, most_bytes=10**9)
    packets = filled(ring, [(SECOND, number % 3 == 0, 1) for number in range(10)])
    # The last is a key frame at 10 s; 8 s lies in the group that begins at 7 s.
    assert ring.since(8 * SECOND) == ring.since(0) == packets[6:]


def test_it_forgets_all_when_told_to():
    ring = PacketRing(seconds=5, most_bytes=1000)
    filled(ring, [(1, True, 10), (1, False, 10)])
    ring.clear()
    assert ring.since(0) == []
    assert ring.nbytes == 0
    filled(ring, [(1, False, 10)])
    assert ring.since(0) == []  # nothing to decode it from

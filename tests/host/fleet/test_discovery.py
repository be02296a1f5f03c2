from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconf import DNSOutgoing, DNSPointer, ServiceInfo, Zeroconf, const

from tartlet_host.fleet import discovery
from tartlet_host.fleet.discovery import Found
from tartlet_host.remote.inventory import Device

LOOPBACK = "127.0.0.1"


@pytest.fixture
def responder() -> Iterator[Zeroconf]:
    """Another machine, on loopback."""
    with Zeroconf(interfaces=[LOOPBACK]) as network:
        yield network


def announce(network: Zeroconf, service: str, instance: str, host: str, port: int) -> None:
    network.register_service(
        ServiceInfo(
            service,
            f"{instance}.{service}",
            port=port,
            addresses=[socket.inet_aton("10.1.2.3")],
            server=f"{host}.local.",
        )
    )


def test_what_a_responder_announces_is_found_once_for_each_host(responder: Zeroconf) -> None:
    announce(responder, "_ssh._tcp.local.", "bed1", "bed1", 2222)
    announce(responder, "_workstation._tcp.local.", "bed1 [b8:27:eb:00:00:01]", "bed1", 9)
    announce(responder, "_ssh._tcp.local.", "evil", "e\x1b[2Jvil", 22)
    announce(responder, "_http._tcp.local.", "printer", "printer", 80)
    found = discovery.discover(1.5, hosts=("bed1", "nobody"), interfaces=[LOOPBACK])
    assert found == [
        Found("bed1.local", ("10.1.2.3",), 2222, ("ssh", "workstation")),
        Found("e[2Jvil.local", ("10.1.2.3",), 22, ("ssh",)),
    ]


def test_a_name_that_is_none_is_passed_over(responder: Zeroconf) -> None:
    announce(responder, "_ssh._tcp.local.", "bed1", "bed1", 22)
    forged = DNSOutgoing(const._FLAGS_QR_RESPONSE | const._FLAGS_AA)
    pointer = DNSPointer(
        "_ssh._tcp.local.",
        const._TYPE_PTR,
        const._CLASS_IN,
        120,
        "\x1b[2Jgone._ssh._tcp.local.",
    )
    forged.add_answer_at_time(pointer, 0)
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(0.1):
            responder.send(forged)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        found = discovery.discover(1.0, hosts=(), interfaces=[LOOPBACK])
    finally:
        stop.set()
        thread.join()
    assert [each.host for each in found] == ["bed1.local"]


@pytest.mark.parametrize(
    ("port", "address", "device_port", "expected"),
    [
        (22, "10.1.2.3", 0, "pi"),
        (0, "10.1.2.3", 22, "pi"),
        (22, "bed1.local", 0, "pi"),
        (2222, "10.1.2.3", 0, None),
        (22, "10.1.2.4", 0, None),
    ],
)
def test_a_device_that_was_added_is_recognised_by_its_address(
    port: int, address: str, device_port: int, expected: str | None
) -> None:
    found = Found("bed1.local", ("10.1.2.3",), port, ())
    device = Device(name="pi", address=address, port=device_port, host_key="")
    assert discovery.known(found, [device]) == expected


@given(st.text())
def test_nothing_shown_reaches_beyond_its_place_on_a_terminal(text: str) -> None:
    shown = discovery.plain(text)
    assert len(shown) <= 63
    assert shown.isascii()
    assert shown.isprintable()


def test_nobody_answers() -> None:
    assert discovery.discover(0.1, hosts=("nobody",), interfaces=[LOOPBACK]) == []

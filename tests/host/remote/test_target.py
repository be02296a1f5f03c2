from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.remote import sshconfig
from tartlet_host.remote.sshconfig import HostOptions
from tartlet_host.remote.target import Address, Lookup, parse, resolve
from tartlet_shared import errors

ADDRESSES = [
    ("host", Address("host")),
    ("pi@host", Address("host", "pi")),
    ("pi@host:2222", Address("host", "pi", 2222)),
    ("host:1", Address("host", "", 1)),
    ("192.168.1.7", Address("192.168.1.7")),
    ("pi@raspberrypi.local", Address("raspberrypi.local", "pi")),
    ("[::1]:22", Address("::1", "", 22)),
    ("[::1]", Address("::1")),
    ("::1", Address("::1")),
    ("pi@fe80::1%eth0", Address("fe80::1%eth0", "pi")),
    ("pi@[2001:db8::7]:65535", Address("2001:db8::7", "pi", 65535)),
    ("ssh://pi@host:22", Address("host", "pi", 22)),
    ("SSH://host/", Address("host")),
    ("  pi@host ", Address("host", "pi")),
]

NOT_ADDRESSES = [
    "",
    "@host",
    "pi@",
    "host:",
    "host:0",
    "host:65536",
    "host:2x",
    "host:-1",
    "host:٣",
    "[::1",
    "[::1]22",
    "[]:22",
    "-oProxyCommand=sh",
    "pi@-host",
    "-x@host",
    "ho st",
    "host;reboot",
    "a@b@host",
    "ssh://",
    "$(reboot)@host",
    "a;b@host",
]


@pytest.mark.parametrize(("text", "expected"), ADDRESSES)
def test_addresses_are_read(text: str, expected: Address) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", NOT_ADDRESSES)
def test_what_is_no_address_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(errors.UsageError, match="not an address") as caught:
        parse(text)
    assert caught.value.hint


@given(
    host=st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}|[0-9a-f]{1,4}::[0-9a-f]{1,4}", fullmatch=True),
    user=st.from_regex(r"([a-z_][a-z0-9_-]{0,8})?", fullmatch=True),
    port=st.integers(0, 65535),
)
def test_an_address_survives_being_written_and_read(host: str, user: str, port: int) -> None:
    address = Address(host, user, port)
    assert parse(str(address)) == address


def config(table: dict[str, HostOptions]) -> Lookup:
    def lookup(host: str, *, user: str = "", port: int = 0) -> HostOptions:
        return table.get(host, HostOptions(host))

    return lookup


def test_what_was_typed_wins_over_the_configuration() -> None:
    table = {"shed": HostOptions("10.0.0.9", "gardener", 2200, (Path("/k"),), True)}
    target = resolve(Address("shed"), lookup=config(table))
    assert (target.host, target.port, target.user) == ("10.0.0.9", 2200, "gardener")
    assert target.identity_files == (Path("/k"),)
    assert target.identities_only
    typed = resolve(Address("shed", "pi", 22), identity=Path("/mine"), lookup=config(table))
    assert (typed.host, typed.port, typed.user) == ("10.0.0.9", 22, "pi")
    assert typed.identity_files == (Path("/mine"), Path("/k"))


def test_without_configuration_port_22_and_the_local_user_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sshconfig, "local_user", lambda: "me")
    target = resolve(Address("pi.local"), lookup=config({}))
    assert (target.address, target.user) == ("pi.local:22", "me")


def test_jumps_are_spelled_out_first_hop_first() -> None:
    table = {
        "shed": HostOptions("10.0.0.9", "pi", proxy_jump="inner,deep@inmost:2022"),
        "inner": HostOptions("inner.lan", "me", proxy_jump="gate", proxy_command="ignored"),
        "gate": HostOptions("gate.example", "me", 443, proxy_command="nc %h %p"),
        "inmost": HostOptions("inmost.lan", "x", proxy_jump="never-used"),
    }
    target = resolve(Address("shed"), lookup=config(table))
    assert [str(hop) for hop in target.jumps] == [
        "me@gate.example:443",
        "me@inner.lan:22",
        "deep@inmost.lan:2022",
    ]
    assert all(hop.jumps == () for hop in target.jumps)
    assert target.jumps[0].proxy_command == "nc %h %p"
    assert target.proxy_command == ""


def test_jumps_in_a_circle_are_refused() -> None:
    table = {
        "a": HostOptions("a", "u", proxy_jump="b"),
        "b": HostOptions("b", "u", proxy_jump="a"),
    }
    with pytest.raises(errors.ConfigError, match="jumps"):
        resolve(Address("a"), lookup=config(table))

"""Pushes over a bad line end in the same bundle, or in an error that says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tartlet_host.remote import pushing, resume, rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.lasting import LastingSession
from tartlet_host.remote.rollout import PushReport
from tartlet_host.remote.session import open_session
from tartlet_shared import errors
from tartlet_shared.bundle import Bundle, open_bundle
from tests.faults.relay import Line, Relay

pytestmark = pytest.mark.system

STORED_ONLY = rollout.Terms(activate=False)
SIZE = 400_000
HANDSHAKE = 6_000  # bytes that the laptop sends for a connection and its questions, at most
MakeBundle = Callable[..., Bundle]


def push(
    embedded: EmbeddedDevice,
    bundle: Bundle,
    port: int,
    *,
    patience_s: float = 60.0,
    progress: Callable[[int, int], None] | None = None,
) -> PushReport:
    """As the command does, but without the waits."""
    device = replace(embedded.device, port=port)
    with LastingSession(lambda: open_session(device), back_off_s=(0.01,)) as lasting:
        _, report = pushing.push(
            lasting, bundle, STORED_ONLY, patience_s=patience_s, progress=progress
        )
    return report


def is_stored(embedded: EmbeddedDevice, bundle: Bundle) -> bool:
    """Whether exactly this bundle is there, and nothing is left in the way."""
    stored = open_bundle(embedded.store / "bundles" / bundle.digest, expected_digest=bundle.digest)
    return stored.manifest == bundle.manifest and parts(embedded, bundle) == []


def parts(embedded: EmbeddedDevice, bundle: Bundle) -> list[Path]:
    """Uploads of this bundle."""
    incoming = (embedded.store / "incoming").iterdir()
    names = {each.sha256 for each in bundle.manifest.files}
    return [path for path in incoming if path.name.partition(".")[0] in names]


@pytest.mark.parametrize("every", [50_000, 130_000, 390_000])
def test_a_line_that_breaks_again_and_again_loses_nothing_that_was_confirmed(
    embedded: EmbeddedDevice, make_bundle: MakeBundle, every: int
) -> None:
    bundle, seen = make_bundle(SIZE), list[int]()
    # Narrow, so that the server has dealt with some of it when the line breaks.
    with Relay(embedded.ssh.port, Line(cut_after=every, bytes_per_s=1e6)) as relay:
        push(embedded, bundle, relay.port, progress=lambda done, total: seen.append(done))
        assert relay.cuts >= SIZE // every
        assert relay.connections == relay.cuts + 1
    assert seen == sorted(seen)
    assert is_stored(embedded, bundle)


@pytest.mark.parametrize(
    "line",
    [
        Line(half_close_after=150_000, connections=1),
        Line(cut_after=3_500, answers=True, connections=1),
        Line(half_close_after=3_500, answers=True, connections=1),
        Line(corrupt_at=150_000, connections=1),
        Line(corrupt_at=3_500, answers=True, connections=1),
        Line(cut_after=150_000, connections=1, rtt_s=0.02),
        Line(cut_after=150_000, connections=1, bytes_per_s=1e6),
    ],
    ids=lambda line: ",".join(
        f"{name}={value}"
        for name, value in vars(line).items()
        if value not in (None, False, 0.0) and name != "connections"
    ),
)
def test_a_line_that_fails_once_ends_in_the_same_bundle(
    embedded: EmbeddedDevice, make_bundle: MakeBundle, line: Line
) -> None:
    bundle = make_bundle(SIZE)
    with Relay(embedded.ssh.port, line) as relay:
        push(embedded, bundle, relay.port)
        assert relay.cuts == 1
        assert relay.connections == 2
    assert is_stored(embedded, bundle)


def test_a_line_that_never_gets_through_is_told(
    embedded: EmbeddedDevice, make_bundle: MakeBundle
) -> None:
    bundle = make_bundle(SIZE)
    with (
        Relay(embedded.ssh.port, Line(corrupt_at=3_500)) as relay,
        pytest.raises(errors.RemoteError),
    ):
        push(embedded, bundle, relay.port, patience_s=0.5)
    assert not (embedded.store / "bundles" / bundle.digest).exists()


def test_a_push_goes_on_after_the_daemon_and_the_laptop_started_again(
    embedded: EmbeddedDevice, make_bundle: MakeBundle
) -> None:
    bundle = make_bundle(SIZE)
    confirmed = left = 0

    def remember(done: int, total: int) -> None:
        nonlocal confirmed, left
        confirmed, left = done, total - done

    with Relay(embedded.ssh.port, Line(cut_after=300_000, bytes_per_s=1e6)) as relay:
        device = replace(embedded.device, port=relay.port)
        with open_session(device) as session:
            plan = rollout.plan(bundle, *rollout.facts(session.client, bundle))
            with pytest.raises(errors.ConnectionLost):
                rollout.apply(plan, session.client, session.connection, progress=remember)
    assert confirmed > 0
    there = sum(path.stat().st_size for path in parts(embedded, bundle))
    assert there >= confirmed
    embedded.restart_daemon()
    report = push(embedded, bundle, embedded.ssh.port)
    assert report.bytes_sent < left + HANDSHAKE
    assert is_stored(embedded, bundle)


def test_a_beginning_that_is_not_the_files_is_not_gone_on_with(
    embedded: EmbeddedDevice, make_bundle: MakeBundle
) -> None:
    bundle = make_bundle(SIZE)
    large = max(bundle.manifest.files, key=lambda each: each.size)
    part = embedded.store / "incoming" / f"{large.sha256}.{resume.laptop()}.part"
    part.write_bytes(bytes(200_000))
    assert push(embedded, bundle, embedded.ssh.port).bytes_sent > SIZE
    assert is_stored(embedded, bundle)


def test_a_file_that_is_spoilt_on_the_device_is_sent_once_more(
    embedded: EmbeddedDevice, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle(SIZE)
    send, spoilt = rollout.send, []

    def spoil(*arguments: object) -> None:
        send(*arguments)  # type: ignore[arg-type]
        if not spoilt:
            spoilt.extend(parts(embedded, bundle))
            largest = max(spoilt, key=lambda path: path.stat().st_size)
            with largest.open("r+b") as stream:
                stream.write(b"?")

    monkeypatch.setattr(rollout, "send", spoil)
    assert push(embedded, bundle, embedded.ssh.port).bytes_sent > 2 * SIZE
    assert is_stored(embedded, bundle)


def test_two_laptops_push_the_same_bundle_at_once(
    embedded: EmbeddedDevice, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle(SIZE)
    monkeypatch.setattr(resume, "laptop", lambda: threading.current_thread().name)
    failures: list[BaseException] = []

    def work(port: int) -> None:
        try:
            push(embedded, bundle, port)
        except BaseException as error:  # noqa: BLE001  told by the test
            failures.append(error)

    # The second laptop's line is slower, so that both are in the middle at the same time.
    with Relay(embedded.ssh.port, Line(rtt_s=0.02, bytes_per_s=1e6)) as relay:
        ports = (embedded.ssh.port, relay.port)
        laptops = [
            threading.Thread(target=work, args=(port,), name=f"laptop-{port}") for port in ports
        ]
        for thread in laptops:
            thread.start()
        for thread in laptops:
            thread.join()
    assert failures == []
    assert is_stored(embedded, bundle)


def test_predictions_go_on_at_full_rate_during_a_push(
    embedded: EmbeddedDevice, make_bundle: MakeBundle
) -> None:
    first, second = make_bundle(1000), make_bundle(2_000_000)
    with open_session(embedded.device) as session:
        plan = rollout.plan(first, *rollout.facts(session.client, first))
        rollout.apply(plan, session.client, session.connection)
        pushed = threading.Thread(target=push, args=(embedded, second, embedded.ssh.port))
        pushed.start()
        answered = 0
        while pushed.is_alive() or not answered:
            assert session.client.predict(want_picture=False).model == first.digest
            answered += 1
        pushed.join()
    assert answered > 3
    assert is_stored(embedded, second)

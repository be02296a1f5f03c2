from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tartlet_device.outputs.mqtt import Mqtt
from tartlet_device.outputs.mqtt_topics import Announced
from tartlet_device.outputs.settings import (
    HomeAssistantSettings,
    MqttSettings,
    SecretPlace,
    TlsSettings,
)
from tartlet_shared import errors

pytestmark = pytest.mark.system

HERE = Path(__file__).parent
ROOT = "tartlet/pi"


@pytest.fixture
def connect(tmp_path, items, closing):
    def connect(port: int, *, announced: Announced | None = None, **keys: object) -> Mqtt:
        fast = {"retry_first_s": 0.05, "retry_longest_s": 0.2, "detections_interval_s": 0.0}
        settings = MqttSettings(host="127.0.0.1", port=port, **(fast | keys))
        queue = tmp_path / "queue.sqlite"
        return closing(
            Mqtt(
                settings,
                device="pi",
                queue=queue,
                figures=lambda: items.figures,
                announced=announced,
            )
        )

    return connect


def events(listener, topic: str = f"{ROOT}/event") -> list[str]:
    return [json.loads(payload)["id"] for payload in listener.of(topic)]


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
@pytest.mark.parametrize("qos", [1, 2])
def test_what_is_published_arrives(make_broker, listen, connect, items, until, protocol, qos):
    broker = make_broker().start()
    listener = listen(broker.port)
    output = connect(broker.port, protocol=protocol, event_qos=qos)
    output.publish(items.began(1))
    output.publish(items.ended(1))
    output.publish(items.observed(7, "person", "person", "dog", zones=("door",)))
    until(lambda: len(events(listener)) == 2 and listener.of(f"{ROOT}/detections"))
    assert events(listener) == ["0000000000001/began", "0000000000001/ended"]
    event = json.loads(listener.of(f"{ROOT}/event")[0])
    assert (event["kind"], event["rule"], event["device"]) == ("began", "door", "pi")
    seen = json.loads(listener.of(f"{ROOT}/detections")[0])
    assert seen["counts"] == {"person": 2, "dog": 1}
    assert seen["zones"] == {"door": {"person": 2, "dog": 1}}
    assert seen["frame"]["number"] == 7
    until(lambda: output.health().queued == 0)
    health = output.health()
    assert health.connected
    assert health.last_error == ""
    until(lambda: listener.of(f"{ROOT}/health"))
    assert json.loads(listener.of(f"{ROOT}/health")[0])["temperature_c"] == 61.5


def test_a_clean_stop_says_offline(make_broker, listen, connect, until):
    broker = make_broker().start()
    output = connect(broker.port)
    listener = listen(broker.port)
    until(lambda: listener.of(f"{ROOT}/state")[-1:] == [b"online"])
    output.stop()
    until(lambda: listener.of(f"{ROOT}/state")[-1:] == [b"offline"])
    late = listen_again(listen, broker.port)
    until(lambda: late.retained().get(f"{ROOT}/state") == b"offline")


def listen_again(listen, port):
    return listen(port)


def test_no_event_is_lost_while_the_broker_comes_and_goes(
    make_broker, listen, connect, items, until
):
    broker = make_broker().start()
    listener = listen(broker.port)
    output = connect(broker.port)
    for number in range(150):
        output.publish(items.began(number))
        if number == 30:
            until(lambda: len(events(listener)) >= 5)
        if number in (31, 90):
            broker.stop()
        if number in (70, 120):
            broker.start()
    until(lambda: output.health().queued == 0)
    until(lambda: len(set(events(listener))) == 150)
    wanted = [f"{number:013d}/began" for number in range(150)]
    assert list(dict.fromkeys(events(listener))) == wanted  # in order, repetitions left out
    assert output.health().dropped_events == 0


def start_publisher(port: int, queue: Path, count: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(HERE / "publish_for_ever.py"), str(port), str(queue), str(count)],
        stdout=subprocess.PIPE,
    )


def test_the_last_will_follows_a_kill(make_broker, listen, tmp_path, until):
    broker = make_broker().start()
    listener = listen(broker.port)
    process = start_publisher(broker.port, tmp_path / "q.sqlite", 1)
    try:
        until(lambda: listener.of("tartlet/killed/state") == [b"online"])
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    until(lambda: listener.of("tartlet/killed/state") == [b"online", b"offline"])


def test_events_of_a_killed_process_are_told_by_the_next(
    make_broker, listen, tmp_path, items, closing, until, port
):
    queue = tmp_path / "q.sqlite"
    process = start_publisher(port(), queue, 20)  # no broker there
    try:
        kept = [int(process.stdout.readline()) for _ in range(20)]
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    broker = make_broker().start()
    listener = listen(broker.port)
    settings = MqttSettings(host="127.0.0.1", port=broker.port)
    closing(Mqtt(settings, device="killed", queue=queue, figures=lambda: items.figures))
    until(lambda: len(events(listener, "tartlet/killed/event")) >= len(kept))
    assert events(listener, "tartlet/killed/event") == [f"{n:013d}/began" for n in kept]


@pytest.fixture
def guarded(make_broker, tmp_path):
    """A broker with a password file: user pi, password right."""
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "pi", "right"], check=True)
    passwords.chmod(0o644)
    return make_broker(
        "listener {port} 127.0.0.1", "allow_anonymous false", f"password_file {passwords}"
    ).start()


@pytest.fixture
def password(tmp_path):
    def password(text: str) -> SecretPlace:
        path = tmp_path / "password"
        path.write_text(f"{text}\n")
        path.chmod(0o600)
        return SecretPlace(file=str(path))

    return password


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_wrong_password_is_said_clearly(
    guarded, listen, connect, password, items, until, protocol, caplog, tmp_path
):
    wrong = connect(
        guarded.port, protocol=protocol, username="pi", password=password("wrong-secret")
    )
    wrong.publish(items.began(1))
    until(lambda: "username and password" in wrong.health().last_error)
    until(lambda: wrong.health().queued == 1)
    assert wrong.health().connected is False
    wrong.stop()
    assert "wrong-secret" not in caplog.text + repr(wrong.health()) + repr(vars(wrong))
    listener = listen(guarded.port, "pi", "right")
    right = connect(guarded.port, protocol=protocol, username="pi", password=password("right"))
    until(lambda: events(listener) == ["0000000000001/began"])
    assert right.health().last_error == ""


def test_a_password_that_others_can_read_is_refused(connect, password, port):
    place = password("secret")
    Path(place.file).chmod(0o640)
    with pytest.raises(errors.ConfigError, match=r"mode 0640.*|others may use"):
        connect(port(), username="pi", password=place)


def test_home_assistant_finds_the_device(make_broker, listen, connect, items, until):
    broker = make_broker().start()
    announced = Announced(labels=("person",), zones=("front door",), rules=("Somebody at door",))
    output = connect(
        broker.port,
        announced=announced,
        pictures=True,
        home_assistant=HomeAssistantSettings(name="Garden"),
    )
    output.publish(items.began(1, rule="Somebody at door"))
    output.publish_picture(b"\xff\xd8picture")
    until(lambda: output.health().connected)
    until(lambda: output.health().queued == 0)
    # Who comes later gets it all as well: it is retained.
    topic = "homeassistant/device/tartlet_pi/config"
    listener = listen(broker.port)
    until(lambda: topic in listener.retained() or listener.of(topic))
    found = json.loads((listener.retained() | {topic: listener.of(topic)[-1]})[topic])
    assert found["device"]["name"] == "Garden"
    assert found["availability_topic"] == f"{ROOT}/state"
    parts = found["components"]
    assert {part["platform"] for part in parts.values()} == {"sensor", "binary_sensor", "image"}
    ids = [part["unique_id"] for part in parts.values()]
    assert len(set(ids)) == len(ids)
    (rule,) = [part for part in parts.values() if part["name"] == "Somebody at door"]
    until(lambda: listener.of(rule["state_topic"])[-1:] == [b"ON"])
    until(lambda: listener.of(f"{ROOT}/picture")[-1:] == [b"\xff\xd8picture"])
    output.publish(items.ended(1))
    until(lambda: listener.of(rule["state_topic"])[-1:] == [b"OFF"])
    output.announce(Announced(labels=("dog",)))
    until(lambda: len(listener.of(topic)) >= 1 and b'"dog"' in listener.of(topic)[-1])
    changed = json.loads(listener.of(topic)[-1])["components"]
    assert changed["sensor-count_person"] == {"platform": "sensor"}  # asks to be removed


def test_no_broker_blocks_nobody(connect, items, port, until):
    output = connect(port())
    for number in range(20):
        output.publish(items.began(number))
        output.publish(items.observed(number, "person"))
    until(lambda: output.health().queued == 20)
    until(lambda: "cannot be reached" in output.health().last_error)
    assert output.health().dropped_observations == 19
    output.stop()
    assert not output._thread.is_alive()


@pytest.fixture
def encrypted(make_broker, certificates):
    """A broker that speaks TLS only, and wants the device's certificate."""
    return make_broker(
        "listener {port} 127.0.0.1",
        f"cafile {certificates.authority}",
        f"certfile {certificates.server}",
        f"keyfile {certificates.server_key}",
        "require_certificate true",
        "use_identity_as_username true",
    ).start()


def test_with_certificates_on_both_sides(encrypted, connect, items, certificates, until):
    tls = TlsSettings(
        ca_file=certificates.authority,
        certificate_file=certificates.device,
        key=SecretPlace(file=certificates.device_key),
    )
    output = connect(encrypted.port, tls=tls)
    for number in range(30):
        output.publish(items.began(number))
    until(lambda: output.health().delivered == 30 and output.health().queued == 0)
    assert output.health().connected


def test_a_broker_that_is_not_trusted_is_told_nothing(
    encrypted, connect, items, certificates, until
):
    output = connect(encrypted.port, tls=TlsSettings(ca_file=certificates.stranger))
    output.publish(items.began(1))
    until(lambda: "certificate is not trusted" in output.health().last_error)
    until(lambda: output.health().queued == 1)
    assert output.health().connected is False


def test_a_certificate_that_cannot_be_used_is_an_error(connect, certificates, port):
    with pytest.raises(errors.ConfigError, match="cannot be used"):
        connect(
            port(),
            tls=TlsSettings(
                certificate_file=certificates.server,
                key=SecretPlace(file=certificates.device_key),
            ),
        )
    with pytest.raises(errors.ConfigError, match="cannot be used"):
        connect(port(), tls=TlsSettings(ca_file="/no/such/file"))

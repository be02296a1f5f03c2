from __future__ import annotations

import sys
import threading

import pytest

from tartlet_device.outputs.mqtt_topics import Announced
from tartlet_device.outputs.opening import open_outputs
from tartlet_device.outputs.settings import (
    JsonLinesSettings,
    MetricsSettings,
    MqttSettings,
    OutputsSettings,
    SecretPlace,
    WebhookSettings,
)
from tartlet_shared import errors


def test_nothing_asked_for_is_nothing_started(tmp_path, items, monkeypatch):
    for library in ("paho", "paho.mqtt", "prometheus_client"):
        monkeypatch.setitem(sys.modules, library, None)
    before = threading.active_count()
    outputs = open_outputs(
        OutputsSettings(), device="pi", store=tmp_path, figures=lambda: items.figures
    )
    outputs.publish(items.began(1))
    outputs.announce(Announced())
    outputs.publish_picture(b"")
    assert outputs.health() == ()
    outputs.stop()
    assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []


def test_everything_at_once(tmp_path, items, port, until):
    settings = OutputsSettings(
        json_lines=JsonLinesSettings(folder=str(tmp_path / "lines")),
        mqtt=MqttSettings(host="127.0.0.1", port=port()),
        webhooks=(WebhookSettings(name="alarm", url=f"http://127.0.0.1:{port()}/"),),
        metrics=MetricsSettings(textfile=str(tmp_path / "t.prom"), textfile_interval_s=1),
    )
    before = threading.active_count()
    outputs = open_outputs(
        settings,
        device="pi",
        store=tmp_path,
        figures=lambda: items.figures,
    )
    outputs.publish(items.began(1))
    outputs.publish(items.observed(1, "person"))
    until(lambda: all(each.queued == 1 for each in outputs.health()[1:3]))
    text = tmp_path / "t.prom"
    wanted = (
        'tartlet_queue_items{queue="inference"} 2.0',
        "tartlet_frames_total 1.0",
    )
    until(lambda: text.exists() and all(line in text.read_text() for line in wanted))
    assert [each.name for each in outputs.health()] == ["json-lines", "mqtt", "alarm", "metrics"]
    outputs.stop(20)
    assert threading.active_count() == before
    queues = {path.name for path in (tmp_path / "outputs").iterdir()}
    assert queues == {"mqtt.sqlite", "webhook-alarm.sqlite"}
    assert len(list((tmp_path / "lines").iterdir())) == 1


def test_what_had_started_is_stopped_when_another_cannot_start(tmp_path, items):
    settings = OutputsSettings(
        json_lines=JsonLinesSettings(folder=str(tmp_path / "lines")),
        webhooks=(WebhookSettings(url="http://x/", signing_secret=SecretPlace(file="/no/file")),),
    )
    before = threading.active_count()
    with pytest.raises(errors.ConfigError, match="/no/file cannot be read") as caught:
        open_outputs(settings, device="pi", store=tmp_path, figures=lambda: items.figures)
    assert caught.value.where == "outputs.webhooks.webhook.signing_secret"
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("library", "settings", "extra"),
    [
        ("paho.mqtt", OutputsSettings(mqtt=MqttSettings(host="h")), "mqtt"),
        ("prometheus_client", OutputsSettings(metrics=MetricsSettings(port=9)), "metrics"),
    ],
)
def test_a_missing_library_is_said_with_what_to_install(
    tmp_path, items, monkeypatch, library, settings, extra
):
    for name in [name for name in sys.modules if name.startswith("tartlet_device.outputs.m")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith(library)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(errors.ConfigError, match="is not installed") as caught:
        open_outputs(settings, device="pi", store=tmp_path, figures=lambda: items.figures)
    assert f"tartlet-device[{extra}]" in caught.value.hint

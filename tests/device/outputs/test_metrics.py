from __future__ import annotations

import http.client

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tartlet_device import machine
from tartlet_device.outputs.metrics import MOST_LABELS, Counts
from tartlet_device.outputs.metrics_places import Metrics
from tartlet_device.outputs.settings import MetricsSettings
from tartlet_shared import errors, throttling
from tartlet_shared.health_messages import DeviceHealth


def values(text: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.fixture
def now():
    return [10_000_000_000]


@pytest.fixture
def counts(items, now):
    return Counts(lambda: items.figures, lambda: now[0])


def test_figures_count_what_passes(counts, items, now):
    for number in range(5):
        now[0] += 100_000_000
        counts.publish(items.observed(number, "person", "dog", taken_ns=now[0] - 60_000_000))
    counts.publish(items.observed(9, "person", taken_ns=now[0] - 400_000_000))
    counts.publish(items.began(1))
    counts.publish(items.ended(1))
    found = values(counts.exposition())
    assert found["tartlet_frames_total", ()] == 6
    assert found["tartlet_frames_per_second", ()] == 0.6
    assert found["tartlet_detections_total", ("person",)] == 6
    assert found["tartlet_detections_total", ("dog",)] == 5
    assert found["tartlet_seen_now", ("person",)] == 1
    assert found["tartlet_seen_now", ("dog",)] == 0
    assert found["tartlet_events_total", ("person", "door")] == 1
    assert found["tartlet_latency_seconds_bucket", ("0.05",)] == 0
    assert found["tartlet_latency_seconds_bucket", ("0.075",)] == 5
    assert found["tartlet_latency_seconds_bucket", ("+Inf",)] == 6
    assert found["tartlet_latency_seconds_sum", ()] == pytest.approx(0.7)
    assert found["tartlet_queue_items", ("inference",)] == 2
    assert found["tartlet_dropped_total", ("inference",)] == 5
    assert found["tartlet_camera_fault", ()] == 1
    assert found["tartlet_temperature_celsius", ()] == 61.5
    assert found["tartlet_throttled", ("under-voltage now",)] == 1
    assert found["tartlet_throttled", ("throttled now",)] == 0
    odd = items.figures.outputs[0].name
    assert found["tartlet_output_queue_items", (odd,)] == 3
    assert found["tartlet_output_dropped_events_total", (odd,)] == 1
    assert found["tartlet_output_fault", (odd,)] == 1
    assert found["tartlet_camera_frames_total", ()] == 90
    assert found["tartlet_camera_restarts_total", ()] == 2
    assert found["tartlet_inference_seconds", ("0.95",)] == 0.03
    assert found["tartlet_events_lost_total", ()] == 3
    assert found["tartlet_events_fault", ("video",)] == 1
    assert found["tartlet_child_resident_bytes", ("camera",)] == 42
    assert found["tartlet_cma_free_bytes", ()] == 4000
    assert found["tartlet_read_only", ()] == 1


def test_what_is_unknown_or_off_has_no_series(items):
    unknown = DeviceHealth(uptime_s=1, clock_synchronized=False, resident_bytes=1)
    names = {name for name, _ in values(Counts(lambda: unknown).exposition())}
    assert "tartlet_uptime_seconds" in names
    for part in ("temperature", "throttled", "cma", "free_bytes", "inference", "events_lost"):
        assert not any(part in name for name in names), part


def test_labels_are_bounded(counts, items):
    for number in range(MOST_LABELS + 50):
        counts.publish(items.observed(number, f"class-{number}"))
    found = values(counts.exposition())
    labels = [key for key in found if key[0] == "tartlet_detections_total"]
    assert len(labels) == MOST_LABELS + 1
    assert found["tartlet_detections_total", ("other",)] == 50


def test_served_on_loopback_only(items, closing, port):
    output = closing(Metrics(MetricsSettings(port=port()), figures=lambda: items.figures))
    output.publish(items.observed(1, "person"))
    assert output._server.server_address[0] == "127.0.0.1"
    for path, status in (("/metrics", 200), ("/", 404), ("/metrics?x=1", 200)):
        connection = http.client.HTTPConnection("127.0.0.1", output.port, timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == status
        connection.close()
    assert values(content)["tartlet_frames_total", ()] == 1


def test_a_taken_port_is_an_error(items, closing, port):
    number = port()
    closing(Metrics(MetricsSettings(port=number), figures=lambda: items.figures))
    with pytest.raises(errors.ConfigError, match=f"port {number}"):
        Metrics(MetricsSettings(port=number), figures=lambda: items.figures)


def test_the_file_is_replaced_whole(items, closing, tmp_path, until):
    path = tmp_path / "tartlet.prom"
    settings = MetricsSettings(textfile=str(path), textfile_interval_s=1)
    output = closing(Metrics(settings, figures=lambda: items.figures))
    until(path.exists)
    first = path.stat().st_ino
    output.publish(items.observed(1))
    until(lambda: values(path.read_bytes())["tartlet_frames_total", ()] == 1)
    assert path.stat().st_ino != first
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in tmp_path.iterdir() if each.suffix == ".prom"] == [path.name]


def test_a_folder_that_is_missing_is_a_fault_that_goes_away(items, closing, tmp_path, until):
    path = tmp_path / "later" / "tartlet.prom"
    settings = MetricsSettings(textfile=str(path), textfile_interval_s=1)
    output = closing(Metrics(settings, figures=lambda: items.figures))
    until(lambda: "No such file" in output.health().last_error)
    path.parent.mkdir()
    until(path.exists)
    until(lambda: output.health().last_error == "")


def test_every_flag_of_the_firmware_has_a_series(tmp_path):
    firmware = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"
    firmware.parent.mkdir(parents=True)
    firmware.write_text("f000f")
    assert machine.throttled(tmp_path) == throttling.WORDS

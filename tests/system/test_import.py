"""A foreign model goes the whole way: recognised, sealed, pushed, tested on a device, used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner

from tartlet_host.cli import cli
from tartlet_host.remote import rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.session import open_session
from tartlet_shared.bundle import open_bundle
from tests.foreign_models import coloured_picture, onnx_model, tflite_ssd

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("yolo.onnx", lambda path: onnx_model(path, "yolov8")),
        ("ssd.tflite", tflite_ssd),
    ],
)
def test_a_device_takes_an_imported_model(
    embedded: EmbeddedDevice, tmp_path: Path, name: str, make: Callable[[Path], Path]
) -> None:
    rgb = coloured_picture((1, 1, "red"), (4, 2, "blue"), width=96, height=64)
    picture, labels = tmp_path / "street.png", tmp_path / "labels.txt"
    cv2.imwrite(str(picture), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    labels.write_text("red\nblue\n")
    arguments = ["import", str(make(tmp_path / name)), "--labels", str(labels)]
    arguments += ["--picture", str(picture), "-o", str(tmp_path / "bundle")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    bundle = open_bundle(tmp_path / "bundle")
    with open_session(embedded.device) as session:
        plan = rollout.plan(bundle, *rollout.facts(session.client, bundle))
        report = rollout.apply(plan, session.client, session.connection)
        status = session.client.status()
    assert report.serves
    assert report.self_test is not None
    assert report.self_test.detections == 2
    assert status.model is not None
    assert status.model.labels == ("red", "blue")

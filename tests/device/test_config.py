from __future__ import annotations

import re
from pathlib import Path

import pytest

from tartlet_device import config
from tartlet_device.config import (
    DeviceConfig,
    PicameraSettings,
    ReplaySettings,
    V4l2Settings,
    load,
)
from tartlet_device.continuous.settings import DetectionSettings, MotionSettings
from tartlet_shared import errors


@pytest.fixture
def written(tmp_path):
    def written(text: str) -> Path:
        path = tmp_path / "device.toml"
        path.write_text(text)
        return path

    return written


def test_without_a_file_the_defaults_hold(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "DEFAULT_CONFIG", tmp_path / "none.toml")
    settings = load()
    assert settings == DeviceConfig()
    assert settings.socket_path == Path("/run/tartlet/device.sock")
    assert settings.store_path == Path("/var/lib/tartlet")
    assert settings.camera == PicameraSettings()


def test_a_file_that_was_named_must_be_there(tmp_path):
    with pytest.raises(errors.ConfigError, match="no such file"):
        load(tmp_path / "none.toml")


def test_everything_can_be_set(written):
    settings = load(
        written(
            'socket = "/tmp/s"\nstore = "/tmp/d"\nthreads = 2\nframe_timeout_s = 3\n'
            'log_level = "debug"\n[camera]\nkind = "replay"\npath = "/tmp/f"\nrate = 10\n'
            "first = 5\nlast = 9\n"
        )
    )
    assert settings == DeviceConfig(
        socket="/tmp/s",
        store="/tmp/d",
        threads=2,
        frame_timeout_s=3.0,
        log_level="debug",
        camera=ReplaySettings(path="/tmp/f", rate=10.0, first=5, last=9),
    )


@pytest.mark.parametrize(
    ("text", "photo"),
    [("", None), ('photo = "full"', "full"), ("photo = [2304, 1296]", (2304, 1296))],
)
def test_the_size_of_photos(written, text, photo):
    settings = load(written(f'[camera]\nkind = "picamera"\n{text}\n'))
    assert settings.camera.photo == photo


def test_a_usb_camera(written):
    settings = load(written('[camera]\nkind = "v4l2"\ndevice = "/dev/video2"\nwidth = 640\n'))
    assert settings.camera == V4l2Settings(device="/dev/video2", width=640)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('sokcet = "/tmp/s"', "sokcet"),
        ('[camera]\nkind = "replay"\npath = "x"\nspeed = 1', "speed"),
        ('[camera]\nkind = "webcam"', "webcam"),
        ('[camera]\nkind = "replay"', "path"),
        ('[camera]\nkind = "replay"\npath = ""', "path"),
        ('[camera]\nkind = "replay"\npath = "x"\nrate = -1', "rate"),
        ('[camera]\nkind = "replay"\npath = "x"\nrate = 0.1', "rate"),
        ('[camera]\nkind = "replay"\npath = "x"\nfirst = 5\nlast = 4', "before"),
        ('[camera]\nkind = "picamera"\nwidth = 641', "even"),
        ('[camera]\nkind = "picamera"\nphoto = [4057, 3040]', "even"),
        ('[camera]\nkind = "picamera"\nphoto = [640, 480]', "at least 1280x720"),
        ('[camera]\nkind = "picamera"\nphoto = "huge"', "huge"),
        ('[camera]\nkind = "picamera"\nformat = "mjpeg"', "mjpeg"),
        ("threads = 0", "threads"),
        ('threads = "two"', "threads"),
        ('log_level = "loud"', "loud"),
        ("frame_timeout_s = 0", "frame_timeout_s"),
        ("socket = ", "Invalid value"),
        ("\udcff", "decode"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(tmp_path, text, words):
    path = tmp_path / "device.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(errors.ConfigError) as caught:
        load(path)
    assert words in caught.value.what
    assert caught.value.where == str(path)


def test_every_setting_is_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "device.md").read_text()
    for struct in (DeviceConfig, PicameraSettings, V4l2Settings, ReplaySettings):
        kind = struct.__struct_config__.tag
        (section,) = [
            part
            for part in re.split(r"^## ", page, flags=re.M)
            if (f'"{kind}"' in part) == bool(kind)
        ][:1]
        for field in set(struct.__struct_fields__) - {"camera"}:
            assert f"`{field}`" in section, f"docs/device.md does not name {field!r} of {kind}"


def test_every_setting_is_read_somewhere():
    package = Path(config.__file__).parent
    code = "".join(path.read_text() for path in package.rglob("*.py") if path.name != "config.py")
    as_path = {"socket": "socket_path", "store": "store_path", "device": "device_file"}
    as_path |= {"path": "folder_or_file"}
    for struct in (DeviceConfig, PicameraSettings, V4l2Settings, ReplaySettings):
        for field in struct.__struct_fields__:
            read = rf"\b(config|settings)\.{as_path.get(field, field)}\b"
            assert re.search(read, code), f"nobody reads {field!r}"


@pytest.mark.parametrize(
    ("title", "struct"), [("detection", DetectionSettings), ("detection.motion", MotionSettings)]
)
def test_every_setting_of_a_section_is_in_the_documentation(title, struct):
    page = (Path(__file__).parents[2] / "docs" / "device.md").read_text()
    (section,) = re.findall(rf"^##+ `\[{re.escape(title)}\]`\n(.*?)(?=^##|\Z)", page, re.M | re.S)
    for field in struct.__struct_fields__:
        assert f"| `{field}` |" in section

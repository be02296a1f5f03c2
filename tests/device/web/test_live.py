"""What the page is told: the newest frame, zones, streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tartlet_device.tracking.drawn import DrawnZones
from tartlet_device.web import live, multipart, streams
from tests.unix_http import Answer, UnixHttp

Until = Callable[[Callable[[], Any]], None]
EVERYWHERE = {"name": "all", "points": [[0, 0], [1, 0], [1, 1], [0, 1]]}


def taken_apart(answer: Answer) -> tuple[dict[str, Any], bytes]:
    assert answer.status == 200, answer.content
    parts = {
        part.name: part.content
        for part in multipart.parse(answer.content, answer.headers["content-type"])
    }
    return json.loads(parts["seen"]), parts.get("picture", b"")


def put(http: UnixHttp, value: Any, **headers: str) -> Answer:
    content = {"Content_Type": "application/json", **headers}
    return http.ask("PUT", "/zones", json.dumps(value).encode(), **content)


def test_the_observation_is_of_the_picture_beside_it(http: UnixHttp, serving: str) -> None:
    after = ""
    spots = set()
    for _ in range(12):
        seen, jpeg = taken_apart(http.ask("GET", f"/live{after}"))
        assert after != f"?after={seen['serial']}"  # each frame once
        after = f"?after={seen['serial']}"
        observation = seen["observation"]
        assert (observation["width"], observation["height"]) == (128, 96)
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        # Photo 1 of the footage has its spot at 16, the next one at 32, and so on.
        spot = int(np.argmax(picture[48] > 128))
        assert spot == pytest.approx(16 * observation["frame"]["number"], abs=4)
        spots.add(spot)
    assert len(spots) > 1


def test_detection_runs_while_somebody_looks(
    http: UnixHttp,
    serving: str,
    daemon: Any,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "LINGER_S", 0.2)
    continuous = daemon.device.continuous
    assert continuous.report() is None
    http.ask("GET", "/live")
    assert continuous.report() is not None
    until(lambda: continuous.report() is None)
    assert taken_apart(http.ask("GET", "/live"))[0]["observation"] is not None


def test_pictures_are_as_wide_as_the_page(http: UnixHttp, serving: str) -> None:
    for width, expected in ((64, 64), (100, 100), (4000, 128)):
        _, jpeg = taken_apart(http.ask("GET", f"/live?width={width}"))
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape[1] == expected
    assert http.ask("GET", "/live?width=3").code == "usage"
    assert http.ask("GET", "/live?after=x").code == "usage"


def test_without_a_model_the_picture_is_shown_and_why_there_are_no_boxes(http: UnixHttp) -> None:
    seen, jpeg = taken_apart(http.ask("GET", "/live"))
    assert seen["observation"] is None
    assert "no model" in seen["fault"]
    assert jpeg[:2] == b"\xff\xd8"


def test_without_a_camera_it_says_why(http: UnixHttp, serving: str, footage: Path) -> None:
    for path in footage.iterdir():
        path.unlink()
    after = 0
    while True:
        seen, jpeg = taken_apart(http.ask("GET", f"/live?after={after}"))
        if seen["camera_fault"]:
            break
        after = seen["serial"]
    assert str(footage) in seen["camera_fault"]
    assert jpeg == b""


def test_zones_hold_at_once_and_after_a_restart(
    http: UnixHttp, serving: str, daemon: Any, until: Until
) -> None:
    empty = http.ask("GET", "/zones")
    assert empty.data["drawn"] == {"zones": [], "lines": [], "rules": []}
    assert empty.data["labels"] == ["bright"]
    mine = {
        "zones": [EVERYWHERE],
        "lines": [{"name": "middle", "start": [0.5, 0], "end": [0.5, 1]}],
        "rules": [{"name": "seen", "zone": "all", "frames": 1}],
    }
    saved = put(http, mine, If_Match=empty.headers["etag"])
    assert saved.status == 200, saved.content
    assert saved.data["drawn"]["zones"] == [EVERYWHERE]
    assert DrawnZones(daemon.device.config.store_path).now == daemon.device.drawn.now

    def counted() -> bool:
        seen, _ = taken_apart(http.ask("GET", "/live"))
        in_zone = [each for each in seen["zones"] if each["zone"] == "all" and each["entries"]]
        tracks = (seen["observation"] or {"tracks": []})["tracks"]
        return bool(in_zone) and any(track["zones"] == ["all"] for track in tracks)

    until(counted)
    seen, _ = taken_apart(http.ask("GET", "/live?after=0"))
    assert {event["rule"] for event in seen["events"] if event["kind"] == "began"} == {"seen"}
    assert f'"{seen["revision"]}"' == saved.headers["etag"]


def test_zones_that_cannot_be(http: UnixHttp, daemon: Any) -> None:
    crossing = {"name": "x", "points": [[0, 0], [1, 1], [1, 0], [0, 1]]}
    refused = put(http, {"zones": [crossing]})
    assert (refused.status, refused.code) == (400, "config")
    assert "crosses" in refused.data["error"]["what"]
    assert put(http, {"colours": []}).status == 400
    plain = http.ask("PUT", "/zones", b"{}", Content_Type="text/plain")
    assert plain.status == 415
    assert put(http, {}, If_Match='"other"').code == "outdated"
    elsewhere = put(http, {}, Origin="http://evil.example")
    assert elsewhere.status == 403
    assert daemon.device.drawn.now.zones == ()


def test_programs_are_told_of_every_frame(
    web: Path, serving: str, daemon: Any, until: Until
) -> None:
    with UnixHttp(web) as client:
        client.request("GET", "/observations?rate=50")
        response = client.getresponse()
        assert response.getheader("content-type") == "text/event-stream"
        told = []
        while len(told) < 5:
            line = response.readline()
            if line.startswith(b"data: "):
                told.append(json.loads(line[6:]))
        assert any(each["observation"] for each in told)
        assert all("jpeg" not in each for each in told)
        response.close()
    until(lambda: daemon.device.continuous.report() is None)


def test_programs_get_pictures_one_after_the_other(web: Path, serving: str) -> None:
    with UnixHttp(web) as client:
        client.request("GET", "/stream.mjpg")
        response = client.getresponse()
        for _ in range(3):
            assert response.readline() == b"--frame\r\n"
            assert response.readline() == b"Content-Type: image/jpeg\r\n"
            length = int(response.readline().partition(b":")[2])
            assert response.readline() == b"\r\n"
            assert response.read(length)[:2] == b"\xff\xd8"
            assert response.readline() == b"\r\n"
        response.close()


def test_only_so_many_streams_at_a_time(
    web: Path, http: UnixHttp, serving: str, until: Until
) -> None:
    clients = [UnixHttp(web) for _ in range(streams.MOST_AT_A_TIME)]
    responses = []
    for client in clients:
        client.request("GET", "/observations")
        responses.append(client.getresponse())
    assert http.ask("GET", "/observations").code == "busy"
    assert http.ask("GET", "/status").status == 200
    for client, response in zip(clients, responses, strict=True):
        response.close()
        client.close()

    def free() -> bool:
        with UnixHttp(web) as client:
            client.request("GET", "/observations")
            response = client.getresponse()
            response.close()
            return response.status == 200

    until(free)

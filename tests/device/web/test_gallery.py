"""Events on the page: the list, pictures, and clips that a browser can wind through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tartlet_device.events.audience import EventKeeper
from tartlet_device.events.settings import EventSettings
from tartlet_device.web.exchange import FilePart, Refused, Request, Response
from tartlet_device.web.gallery import Gallery
from tartlet_shared.observation import EventBegan, EventEnded
from tests.unix_http import UnixHttp

CLIP = bytes(range(256)) * 40


def began(number: int, label: str = "person") -> EventBegan:
    return EventBegan(
        event_id=f"event-{number}",
        rule="visitor",
        label=label,
        zone="door",
        track_id=number,
        time_s=1000.0 + number,
        clock_synchronized=True,
        monotonic_ns=number,
    )


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[EventKeeper]:
    """30 events; the fifth has a picture and a clip, the sixth lost both."""
    for folder in ("pictures", "clips"):
        (tmp_path / "events" / folder).mkdir(parents=True)
    for folder, suffix, content in (
        ("pictures", ".jpg", b"\xff\xd8jpeg"),
        ("pictures", ".json", b"{}"),
        ("clips", ".mp4", CLIP),
    ):
        (tmp_path / "events" / folder / f"fifth{suffix}").write_bytes(content)
    kept = EventKeeper()
    kept.apply(EventSettings(enabled=True, folder=str(tmp_path / "events")))
    assert kept.recorder is not None
    log = kept.recorder.log
    for number in range(1, 31):
        log.begin(began(number, "cat" if number % 10 == 0 else "person"))
        log.end(
            EventEnded(
                event_id=f"event-{number}",
                time_s=1010.0 + number,
                clock_synchronized=True,
                monotonic_ns=10**9,
                best_score=0.9,
                best_xyxy=(1.0, 2.0, 3.0, 4.0),
                best_frame=7,
            )
        )
    for part in ("picture", "clip"):
        log.attach("event-5", part, "fifth")  # type: ignore[arg-type]
        log.attach("event-6", part, "sixth")  # type: ignore[arg-type]
        log.mark_removed(part, ["sixth"])  # type: ignore[arg-type]
    yield kept
    kept.stop()


def ask(keeper: EventKeeper, path: str, **headers: str) -> Response:
    gallery = Gallery(keeper)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    address, _, query = path.partition("?")
    given = dict(pair.split("=") for pair in query.split("&") if pair)
    request = Request("GET", address, given, named)
    parts = address.strip("/").split("/")
    if len(parts) == 1:
        return gallery.listed(request)
    return gallery.file(request, parts[1], parts[2])


def data(response: Response) -> Any:
    import msgspec

    assert isinstance(response.content, bytes)
    return msgspec.json.decode(response.content)


def sent(response: Response) -> bytes:
    assert isinstance(response.content, FilePart)
    start, length = response.content.start, response.content.length
    return response.content.path.read_bytes()[start : start + length]


def test_pages_from_new_to_old(keeper: EventKeeper) -> None:
    numbers: list[int] = []
    after = ""
    pages = 0
    while True:
        page = data(ask(keeper, f"/events?limit=13{after}"))
        numbers += [event["sequence"] for event in page["events"]]
        pages += 1
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert numbers == list(range(30, 0, -1))
    assert pages == 3
    cats = data(ask(keeper, "/events?label=cat"))["events"]
    assert [event["sequence"] for event in cats] == [30, 20, 10]
    oldest = data(ask(keeper, "/events?order=oldest&limit=2&since=1003"))["events"]
    assert [event["sequence"] for event in oldest] == [3, 4]


def test_files_have_addresses_while_they_are_there(keeper: EventKeeper) -> None:
    events = {
        event["sequence"]: event for event in data(ask(keeper, "/events?limit=200"))["events"]
    }
    assert events[5]["picture"] == "/events/5/picture.jpg"
    assert events[5]["clip"] == "/events/5/clip.mp4"
    assert (events[4]["picture"], events[6]["picture"], events[6]["clip"]) == (None, None, None)
    assert events[6]["removed"] == ["picture", "clip"]
    picture = ask(keeper, events[5]["picture"])
    assert picture.content_type == "image/jpeg"
    assert sent(picture) == b"\xff\xd8jpeg"
    note = ask(keeper, "/events/5/picture.json")
    assert (note.content_type, sent(note)) == ("application/json", b"{}")


@pytest.mark.parametrize(
    ("header", "status", "slice_"),
    [
        ("", 200, slice(None)),
        ("bytes=0-", 206, slice(None)),
        ("bytes=1000-1999", 206, slice(1000, 2000)),
        ("bytes=-100", 206, slice(-100, None)),
    ],
)
def test_a_clip_can_be_wound(keeper: EventKeeper, header: str, status: int, slice_: slice) -> None:
    answer = ask(keeper, "/events/5/clip.mp4", **({"range": header} if header else {}))
    assert answer.status == status
    assert sent(answer) == CLIP[slice_]
    headers = dict(answer.headers)
    assert headers["Accept-Ranges"] == "bytes"
    if status == 206:
        start, last = range(len(CLIP))[slice_][0], range(len(CLIP))[slice_][-1]
        assert headers["Content-Range"] == f"bytes {start}-{last}/{len(CLIP)}"
    same = ask(keeper, "/events/5/clip.mp4", if_none_match=headers["ETag"])
    assert same.status == 304
    changed = ask(keeper, "/events/5/clip.mp4", range="bytes=5-", if_range='"older"')
    assert changed.status == 200


@pytest.mark.parametrize(
    "path",
    ["/events/4/picture.jpg", "/events/6/clip.mp4", "/events/31/clip.mp4", "/events/0/clip.mp4"],
)
def test_what_is_not_there(keeper: EventKeeper, path: str) -> None:
    with pytest.raises(Refused) as caught:
        ask(keeper, path)
    assert caught.value.status == 404


def test_a_range_behind_the_end(keeper: EventKeeper) -> None:
    with pytest.raises(Refused) as caught:
        ask(keeper, "/events/5/clip.mp4", range="bytes=99999-")
    assert caught.value.status == 416
    assert dict(caught.value.headers)["Content-Range"] == f"bytes */{len(CLIP)}"


def test_a_name_that_leads_elsewhere_stays_inside(keeper: EventKeeper, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    assert keeper.recorder is not None
    keeper.recorder.log.attach("event-7", "picture", "../../secret")
    with pytest.raises(Refused):
        ask(keeper, "/events/7/picture.jpg")


def test_where_no_events_are_kept_the_page_says_so(http: UnixHttp) -> None:
    answer = http.ask("GET", "/events")
    assert answer.data == {"enabled": False, "events": [], "next": None, "faults": {}}
    assert http.ask("GET", "/events/1/picture.jpg").status == 404
    assert http.ask("GET", "/events?limit=0").code == "usage"
    assert http.ask("GET", "/events/x/picture.jpg").status == 404


def test_events_come_over_http(http: UnixHttp, daemon: Any, keeper: EventKeeper) -> None:
    daemon.device.keeper.apply(keeper.settings)
    listed = http.ask("GET", "/events?limit=1")
    assert listed.data["events"][0]["label"] == "cat"
    clip = http.ask("GET", "/events/5/clip.mp4", Range="bytes=10-19")
    assert (clip.status, clip.content) == (206, CLIP[10:20])
    assert http.ask("HEAD", "/events/5/clip.mp4").headers["content-length"] == str(len(CLIP))
    assert http.ask("GET", "/events/5/clip.mp4").content == CLIP

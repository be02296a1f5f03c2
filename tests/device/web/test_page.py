"""The page in a real browser."""

from __future__ import annotations

import functools
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tartlet_device import handlers
from tartlet_device.assembly import assembled
from tartlet_device.config import DeviceConfig, ReplaySettings
from tartlet_device.events.settings import EventSettings, VideoSettings
from tartlet_device.live_config import LiveConfig
from tartlet_device.server import Server
from tartlet_device.tracking.drawn import Drawn
from tartlet_device.tracking.settings import TrackingSettings, Zone
from tartlet_device.web.settings import WebSettings
from tartlet_device.web.site import served
from tests import browser as browsers
from tests.browser import Browser

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(browsers.PROGRAM is None, reason="chromium is not installed"),
]

FIXED = Zone(name="fixed one", points=((0.0, 0.0), (0.2, 0.0), (0.2, 0.2)))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests."""
    with browsers.opened(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Browser]:
    """The browser with an empty tab, as large as a laptop's; nothing may be complained about."""
    browser.look_like(1280, 800)
    browser.complaints.clear()
    yield browser
    browser.open("about:blank")
    assert browser.complaints == []


class Site:
    """A device whose page is served on a port, in threads of the test."""

    def __init__(self, config: DeviceConfig) -> None:
        self.config = config
        self.address = f"http://127.0.0.1:{config.web.port}/"
        self._running = False

    def __enter__(self) -> Site:
        self._assembled = assembled(LiveConfig(None, self.config))
        self.device = self._assembled.__enter__()
        self.path = self.config.socket_path  # where `push` connects to
        self.server = Server(self.path, functools.partial(handlers.answer, self.device))
        self._thread = threading.Thread(target=self.server.serve, args=(lambda: None, 0.1))
        self._thread.start()
        self._served = served(self.device)
        self._served.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._served.__exit__(None, None, None)
        self.server.stop()
        self._thread.join()
        self.server.close()
        self._assembled.__exit__(None, None, None)

    def connect(self) -> Any:
        """For `push`."""
        from tests.device.conftest import Client

        return Client(self.path)


@pytest.fixture
def config(tmp_path: Path, socket_folder: Path, footage: Path) -> DeviceConfig:
    """Replayed footage, events with pictures, and a zone that is fixed."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return DeviceConfig(
        socket=str(socket_folder / "d.sock"),
        store=str(tmp_path / "store"),
        camera=ReplaySettings(path=str(footage), rate=10),
        threads=1,
        tracking=TrackingSettings(zones=(FIXED,)),
        events=EventSettings(
            enabled=True, folder=str(tmp_path / "events"), video=VideoSettings(clips=True)
        ),
        web=WebSettings(port=port),
    )


@pytest.fixture
def site(config: DeviceConfig, browser: Browser) -> Iterator[Site]:
    """Without a model."""
    with Site(config) as started:
        yield started
        browser.open("about:blank")  # before the page finds nobody there


@pytest.fixture
def with_model(site: Site, push: Any, make_bundle: Callable[..., Path]) -> Site:
    """The tiny model serves."""
    site.device.model.activate(push(site, make_bundle()))
    return site


def on_picture(page: Browser, *fractions: tuple[float, float]) -> list[tuple[float, float]]:
    left, top, width, height = page.evaluate(
        "(() => { const e = document.querySelector('#canvas'); e.scrollIntoView({block: 'center'});"
        " const b = e.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()"
    )
    return [(left + x * width, top + y * height) for x, y in fractions]


def open_live(page: Browser, site: Site, state: str = "live") -> None:
    page.open(site.address)
    page.until(f"document.querySelector('#state').textContent === '{state}'")


def save_zone(page: Browser, *corners: tuple[float, float]) -> None:
    """Draw a rectangle from corner to corner and save it."""
    page.click("#add-zone")
    start, end = on_picture(page, *corners)
    page.press(*start, end)
    page.click("#save")
    page.until("document.querySelector('#save').hidden")


def test_nothing_moves_when_the_first_picture_is_painted(page: Browser, with_model: Site) -> None:
    held = "window.painting = []; window.requestAnimationFrame = (paint) => painting.push(paint);"
    script = page.ask("Page.addScriptToEvaluateOnNewDocument", source=held)["identifier"]
    try:
        open_live(page, with_model)
        before = on_picture(page, (0, 0), (1, 1))
        page.evaluate("painting.forEach((paint) => paint())")
        assert on_picture(page, (0, 0), (1, 1)) == before
    finally:
        page.ask("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def test_boxes_are_painted_over_the_picture(page: Browser, with_model: Site) -> None:
    open_live(page, with_model)
    page.until("document.querySelector('#now').innerText.includes('bright')")
    page.until("document.querySelector('#model').textContent === 'bright'")
    # The class's colour is nowhere in the footage, which is grey.
    coloured = (
        "(() => { const c = document.querySelector('#canvas'); "
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0; "
        "for (let i = 0; i < d.length; i += 4) "
        "if (Math.max(d[i], d[i+1], d[i+2]) - Math.min(d[i], d[i+1], d[i+2]) > 80) n++; "
        "return n > 300; })()"
    )
    page.until(coloured)


def test_a_zone_is_drawn_with_the_mouse_saved_and_counted(page: Browser, with_model: Site) -> None:
    open_live(page, with_model)
    page.click("#add-zone")
    corners = on_picture(page, (0.05, 0.1), (0.95, 0.1), (0.95, 0.95), (0.05, 0.95))
    for corner in [*corners, corners[0]]:
        page.press(*corner)
    page.until("document.querySelector('#zones .edit input') !== null")
    page.evaluate(
        "(() => { const i = document.querySelector('#zones .edit input'); i.value = 'whole'; "
        "i.dispatchEvent(new Event('change')); })()"
    )
    page.evaluate(
        "(() => { const s = document.querySelector('#zones .edit select'); s.value = '=bright'; "
        "s.dispatchEvent(new Event('change')); })()"
    )
    page.click("#save")
    page.until("document.querySelector('#save').hidden")
    (zone,) = with_model.device.drawn.now.zones
    assert zone.name == "whole"
    assert [[round(value, 2) for value in point] for point in zone.points] == [
        [0.05, 0.1],
        [0.95, 0.1],
        [0.95, 0.95],
        [0.05, 0.95],
    ]
    (rule,) = with_model.device.drawn.now.rules
    assert (rule.name, rule.zone, rule.classes) == ("whole", "whole", ("bright",))
    count = "document.querySelector('#zones .count[data-name=whole]').innerText"
    page.until(f"/[1-9]\\d* now, [1-9]\\d* came/.test({count})")
    page.until("document.querySelector('#latest').innerText.includes('whole: bright')")


def test_lines_and_rectangles_are_drawn_with_a_finger(page: Browser, with_model: Site) -> None:
    page.look_like(360, 740, phone=True)
    open_live(page, with_model)
    page.click("#add-zone")
    start, end = on_picture(page, (0.1, 0.2), (0.6, 0.8))
    page.touch(*start, end)
    page.click("#add-line")
    start, middle, end = on_picture(page, (0.5, 0.1), (0.5, 0.5), (0.5, 0.9))
    page.touch(*start, middle, end)
    page.click("#save")
    page.until("document.querySelector('#save').hidden")
    drawn = with_model.device.drawn.now
    assert [zone.name for zone in drawn.zones] == ["zone 1"]
    corners = [(0.1, 0.2), (0.6, 0.2), (0.6, 0.8), (0.1, 0.8)]
    for point, corner in zip(drawn.zones[0].points, corners, strict=True):
        assert point == pytest.approx(corner, abs=0.01)
    assert drawn.lines[0].name == "line 1"
    assert drawn.lines[0].start == pytest.approx((0.5, 0.1), abs=0.01)
    assert drawn.lines[0].end == pytest.approx((0.5, 0.9), abs=0.01)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360


def test_a_corner_is_moved_a_zone_deleted_and_a_change_discarded(
    page: Browser, with_model: Site
) -> None:
    open_live(page, with_model)
    save_zone(page, (0.3, 0.3), (0.7, 0.7))
    corner, elsewhere = on_picture(page, (0.3, 0.3), (0.1, 0.2))
    page.press(*corner, elsewhere)
    page.until("!document.querySelector('#save').hidden")
    page.click("#discard")
    page.until("document.querySelector('#save').hidden")
    page.press(*corner, elsewhere)
    page.click("#save")
    page.until("document.querySelector('#save').hidden")
    assert with_model.device.drawn.now.zones[0].points[0] == pytest.approx((0.1, 0.2), abs=0.01)
    page.click("#zones .edit .danger")
    page.click("#save")
    page.until("document.querySelector('#save').hidden")
    assert with_model.device.drawn.now.zones == ()


HOLD_ZONES_BACK = (
    "(() => { const real = window.fetch; window.held = null; "
    "window.fetch = async (to, options) => {"
    " const answer = await real(to, options);"
    " if (to === '/zones' && options.method === undefined)"
    " await new Promise((release) => { window.held = release; });"
    " return answer; }; })()"
)


def test_a_change_outlives_what_somebody_else_saves(page: Browser, with_model: Site) -> None:
    open_live(page, with_model)
    save_zone(page, (0.3, 0.3), (0.7, 0.7))
    page.evaluate(HOLD_ZONES_BACK)
    drawn = with_model.device.drawn
    theirs = Drawn(zones=(*drawn.now.zones, Zone(name="theirs", points=FIXED.points)))
    drawn.save(theirs, with_model.config.tracking, revision=None)
    page.until("window.held !== null")  # the page reads the zones again
    corner, elsewhere = on_picture(page, (0.3, 0.3), (0.1, 0.2))
    page.press(*corner, elsewhere)
    page.until("!document.querySelector('#save').hidden")
    page.evaluate("new Promise((done) => { window.held(); setTimeout(done, 200); })")
    assert not page.evaluate("document.querySelector('#save').hidden")


def test_what_cannot_be_saved_is_said_and_stays(page: Browser, with_model: Site) -> None:
    open_live(page, with_model)
    page.click("#add-zone")
    for corner in on_picture(page, (0.2, 0.2), (0.8, 0.8), (0.8, 0.2), (0.2, 0.8)):
        page.press(*corner)
    page.click("#finish")
    page.click("#save")
    page.until("!document.querySelector('#message').hidden")
    assert "crosses" in page.text("#message")
    assert not page.evaluate("document.querySelector('#save').hidden")
    assert with_model.device.drawn.now.zones == ()
    page.complaints.clear()  # the browser's own line about an answer of 400


def test_the_configurations_zones_are_shown_as_fixed(page: Browser, with_model: Site) -> None:
    open_live(page, with_model)
    page.until("document.querySelector('#zones').innerText.includes('fixed one')")
    page.click("#zones .row")
    assert "device.toml" in page.text("#zones")
    assert page.evaluate("document.querySelector('#zones .edit')") is None


def test_no_model_is_said_beside_the_picture(page: Browser, site: Site) -> None:
    open_live(page, site, "no model")
    assert "tartlet push" in page.text("#notice")
    assert page.text("#now") == "not known"
    page.until("document.querySelector('#canvas').width > 300")


def test_a_camera_that_is_away_is_said(page: Browser, with_model: Site, footage: Path) -> None:
    for path in footage.iterdir():
        path.unlink()
    open_live(page, with_model, "camera fault")
    assert str(footage) in page.text("#notice")


def test_nothing_detected_is_said(page: Browser, with_model: Site, footage: Path) -> None:
    import cv2

    from tests.tiny_model import bright_picture

    for path in footage.iterdir():
        cv2.imwrite(str(path), bright_picture())
    open_live(page, with_model)
    page.until("!document.querySelector('#nothing').hidden")
    assert page.text("#now") == "nothing"
    page.click("#add-zone")
    page.click("#nothing")  # a corner of a zone
    assert not page.evaluate("document.querySelector('#undo').hidden")


def test_a_lost_connection_is_said_and_comes_back_by_itself(
    page: Browser, config: DeviceConfig, push: Any, make_bundle: Callable[..., Path]
) -> None:
    with Site(config) as first:
        first.device.model.activate(push(first, make_bundle()))
        open_live(page, first)
    page.until("document.querySelector('#state').textContent === 'connection lost'")
    assert "tried again" in page.text("#notice")
    with Site(config):
        page.until("document.querySelector('#state').textContent === 'live'")
        assert page.evaluate("document.querySelector('#notice').hidden")
        page.open("about:blank")
    page.complaints.clear()  # the browser's own lines about a server that was away


def test_events_have_pictures_and_clips_that_play(page: Browser, with_model: Site) -> None:
    pytest.importorskip("av")
    open_live(page, with_model)
    page.click("#add-zone")
    start, end = on_picture(page, (0.02, 0.02), (0.98, 0.98))
    page.press(*start, end)
    page.evaluate(
        "(() => { const s = document.querySelector('#zones .edit select'); s.value = ''; "
        "s.dispatchEvent(new Event('change')); })()"
    )
    page.click("#save")
    page.until("document.querySelector('#latest').innerText.includes('zone 1: bright')")
    # The event ends with the rule.
    page.click("#zones .edit .danger")
    page.click("#save")
    page.until("document.querySelector('#save').hidden")
    page.click("nav [data-view=events]")
    page.until(
        "(() => { const i = document.querySelector('#gallery img'); "
        "return i && i.complete && i.naturalWidth === 128; })()"
    )
    page.until("document.querySelector('#gallery .play') !== null")
    page.until("!document.querySelector('#gallery').innerText.includes('going on')")
    page.click("#gallery .open")
    page.until(
        "(() => { const v = document.querySelector('#viewer video'); "
        "return v && v.readyState >= 2 && v.videoWidth === 128; })()"
    )
    page.click("#viewer-close")
    page.until("document.querySelector('#viewer video') === null")  # the close event is a task


def test_health_shows_what_status_tells(page: Browser, with_model: Site) -> None:
    page.open(with_model.address + "#health")
    page.until("document.querySelector('#health').innerText.includes('replay')")
    shown = page.text("#health")
    assert "litert" in shown
    assert "off while nobody looks" in shown
    assert with_model.device.continuous.report() is None


def test_a_page_that_is_not_looked_at_lets_detection_end(
    page: Browser, with_model: Site, until: Any
) -> None:
    open_live(page, with_model)
    assert with_model.device.continuous.report() is not None
    page.click("nav [data-view=health]")
    until(lambda: with_model.device.continuous.report() is None)


def test_nothing_reaches_beyond_the_screen(page: Browser, with_model: Site) -> None:
    for view, (width, height), dark in itertools.product(
        ("live", "events", "health"), ((1280, 800), (360, 740)), (False, True)
    ):
        page.look_like(width, height, dark=dark, phone=width < 500)
        page.open("about:blank")
        page.open(f"{with_model.address}#{view}")
        page.until("document.querySelector('#model').textContent === 'bright'")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        red = int(ground.removeprefix("rgb(").partition(",")[0])
        assert (red < 64) == dark

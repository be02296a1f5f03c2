"""Zones that were drawn on the page: kept on disk, beside those of the configuration."""

from __future__ import annotations

import contextlib
import errno
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device import files
from tartlet_device.tracking import drawn
from tartlet_device.tracking.drawn import Drawn, DrawnZones, Outdated
from tartlet_device.tracking.settings import Line, Rule, TrackingSettings, Zone
from tartlet_shared import errors

CORNERS = ((0.1, 0.1), (0.5, 0.1), (0.5, 0.5))
DOOR = Zone(name="door", points=CORNERS)
PATH = Zone(name="path", points=CORNERS)
STEP = Line(name="step", start=(0.0, 0.5), end=(1.0, 0.5))
VISITOR = Rule(name="visitor", zone="door")
CONFIGURED = TrackingSettings(zones=(DOOR,), rules=(VISITOR,), leave_s=2.0)


def test_what_is_saved_is_there_again_and_holds_beside_the_configuration(tmp_path: Path) -> None:
    kept = DrawnZones(tmp_path)
    assert kept.merged(CONFIGURED) == CONFIGURED
    mine = Drawn(
        zones=(PATH,),
        lines=(STEP,),
        rules=(Rule(name="walker", zone="path"), Rule(name="second", zone="door")),
    )
    kept.save(mine, CONFIGURED, revision=kept.revision)
    again = DrawnZones(tmp_path)
    assert again.now == mine
    assert again.revision == kept.revision
    merged = again.merged(CONFIGURED)
    assert merged.zones == (DOOR, PATH)
    assert merged.lines == (STEP,)
    assert [rule.name for rule in merged.rules] == ["visitor", "walker", "second"]
    assert merged.leave_s == 2.0
    assert again.fault == ""


def test_where_both_have_a_name_the_configuration_counts(tmp_path: Path) -> None:
    kept = DrawnZones(tmp_path)
    other = Zone(name="door", points=((0.6, 0.6), (0.9, 0.6), (0.9, 0.9)))
    kept.save(Drawn(zones=(other, PATH)), TrackingSettings(), revision=None)
    merged = kept.merged(CONFIGURED)
    assert merged.zones == (DOOR, PATH)
    assert "same name" in kept.fault
    assert kept.merged(TrackingSettings()).zones == (other, PATH)
    assert kept.fault == ""


def test_a_rule_whose_zone_left_the_configuration_is_left_out_and_told(tmp_path: Path) -> None:
    kept = DrawnZones(tmp_path)
    kept.save(Drawn(rules=(Rule(name="mine", zone="door"),)), CONFIGURED, revision=None)
    plain = TrackingSettings()
    assert kept.merged(plain) == plain
    assert "door" in kept.fault


BROKEN = [
    (b"", "truncated"),
    (b'{"zones": [{"name": "a"', "truncated"),
    (b'{"zones": 1}', "zones"),
    (b'{"colour": "red"}', "colour"),
    (b'{"zones": [{"name": "a", "points": [[0, 0], [1, 1]]}]}', "3 points"),
    (b'{"zones": [{"name": "a", "points": [[0, 0], [2, 1], [1, 0]]}]}', "<= 1"),
    (b'{"zones": [{"name": "a", "points": [[0, 0], [1, 1], [1, 0], [0, 1]]}]}', "crosses"),
    (b'{"lines": [{"name": "a", "start": [0, 0], "end": [0, 0]}]}', "same point"),
    (json.dumps({"zones": [msgspec.to_builtins(DOOR)] * 2}).encode(), "twice"),
    (b"\xff\xfe", ""),
    (b"[" * 100_000, ""),
]


@pytest.mark.parametrize(("content", "says"), BROKEN)
def test_a_broken_file_is_reported_ignored_and_kept(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / drawn.FILE
    path.write_bytes(content)
    kept = DrawnZones(tmp_path)
    assert kept.merged(CONFIGURED) == CONFIGURED
    assert str(path) in kept.fault
    assert says in kept.fault
    assert path.read_bytes() == content
    kept.save(Drawn(zones=(PATH,)), CONFIGURED, revision=None)
    assert kept.fault == ""
    assert path.with_name("zones.json.broken").read_bytes() == content
    assert DrawnZones(tmp_path).now.zones == (PATH,)


@given(st.binary(max_size=100))
def test_no_content_of_the_file_stops_the_daemon(content: bytes) -> None:
    with contextlib.suppress(errors.ConfigError):
        drawn.decode(content)


@pytest.mark.parametrize(
    ("mine", "says"),
    [
        (Drawn(zones=(DOOR,)), "door"),
        (Drawn(rules=(VISITOR,)), "visitor"),
        (Drawn(rules=(Rule(name="x", zone="nowhere"),)), "nowhere"),
        (
            Drawn(zones=tuple(Zone(name=str(n), points=CORNERS) for n in range(64))),
            "65 zones, at most 64",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    tmp_path: Path, mine: Drawn, says: str
) -> None:
    kept = DrawnZones(tmp_path)
    kept.save(Drawn(lines=(STEP,)), CONFIGURED, revision=None)
    before = (tmp_path / drawn.FILE).read_bytes()
    with pytest.raises(errors.ConfigError, match=says):
        kept.save(mine, CONFIGURED, revision=None)
    assert (tmp_path / drawn.FILE).read_bytes() == before
    assert kept.now == Drawn(lines=(STEP,))


def test_nobody_saves_over_what_he_has_not_seen(tmp_path: Path) -> None:
    kept = DrawnZones(tmp_path)
    seen = kept.revision
    kept.save(Drawn(zones=(PATH,)), CONFIGURED, revision=seen)
    with pytest.raises(Outdated):
        kept.save(Drawn(), CONFIGURED, revision=seen)
    assert kept.now.zones == (PATH,)


@pytest.mark.parametrize("step", ["write_synced", "sync_folder"])
def test_a_disk_that_takes_nothing_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    kept = DrawnZones(tmp_path)
    kept.save(Drawn(zones=(PATH,)), CONFIGURED, revision=None)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, step, full)
    with pytest.raises(errors.StorageFull):
        kept.save(Drawn(lines=(STEP,)), CONFIGURED, revision=None)
    assert kept.now == Drawn(zones=(PATH,))
    # Either of the two is whole on disk.
    assert DrawnZones(tmp_path).now in (Drawn(zones=(PATH,)), Drawn(lines=(STEP,)))
    assert [path.name for path in tmp_path.iterdir()] == [drawn.FILE]

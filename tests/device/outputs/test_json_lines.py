from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tartlet_device.outputs.json_lines import JsonLines, _Files
from tartlet_device.outputs.settings import JsonLinesSettings


@pytest.fixture
def write(tmp_path, closing):
    def write(**keys):
        return closing(JsonLines(JsonLinesSettings(folder=str(tmp_path / "j"), **keys), "pi"))

    return write


def lines(folder: Path) -> list[dict]:
    found = []
    for path in sorted(folder.glob("items-*.jsonl")):
        content = path.read_bytes()
        assert content.endswith(b"\n") or not content
        found += [json.loads(line) for line in content.splitlines()]
    return found


def test_each_item_is_a_line(write, items, tmp_path):
    output = write()
    output.publish(items.began(1))
    output.publish(items.observed(2, "person"))
    output.publish(items.ended(1))
    output.stop()
    found = lines(tmp_path / "j")
    assert [line["kind"] for line in found] == ["began", "observation", "ended"]
    assert found[0]["id"] == "0000000000001/began"
    assert found[2]["best_xyxy"] == [1.0, 2.0, 3.0, 4.0]
    assert output.health().delivered == 3


@pytest.mark.parametrize(
    ("what", "kinds"), [("events", ["began"]), ("observations", ["observation"])]
)
def test_only_what_is_wanted(write, items, tmp_path, what, kinds):
    output = write(what=what)
    output.publish(items.began(1))
    output.publish(items.observed(1))
    output.stop()
    assert [line["kind"] for line in lines(tmp_path / "j")] == kinds


def test_observations_at_intervals(write, items, tmp_path):
    output = write(observation_interval_s=1.0)
    for tenth in range(8):
        output.publish(items.observed(tenth, taken_ns=tenth * 300_000_000))
    output.stop()
    assert [line["frame"]["number"] for line in lines(tmp_path / "j")] == [0, 4]


@given(sizes=st.lists(st.integers(0, 12), min_size=1, max_size=40))
@settings(max_examples=20)
def test_never_more_than_the_cap_and_never_a_gap(items, sizes):
    with tempfile.TemporaryDirectory() as folder:
        limits = JsonLinesSettings(folder=folder, file_mb=0.01, total_mb=0.03)
        files = _Files(limits, "pi")
        for number, tracks in enumerate(sizes):
            files.write(items.observed(number, *["person" * 20] * tracks))
            held = [path.stat().st_size for path in Path(folder).iterdir()]
            assert sum(held) <= 30_000
            assert max(held) <= 10_000
        files.close()
        numbers = [line["frame"]["number"] for line in lines(Path(folder))]
        assert numbers == list(range(len(sizes) - len(numbers), len(sizes)))


@given(cut=st.integers(1, 200))
@settings(max_examples=20)
def test_a_torn_line_is_cut_off_at_the_next_start(items, cut):
    with tempfile.TemporaryDirectory() as folder:
        limits = JsonLinesSettings(folder=folder)
        files = _Files(limits, "pi")
        for number in range(3):
            files.write(items.began(number))
        files.close()
        (path,) = Path(folder).iterdir()
        content = path.read_bytes()
        path.write_bytes(content[: len(content) - cut])
        whole = content[: len(content) - cut].count(b"\n")
        files = _Files(limits, "pi")
        files.write(items.began(9))
        files.close()
        assert [line["track_id"] for line in lines(Path(folder))] == [*range(whole), 9]


def test_a_full_disk_leaves_no_half_line_and_goes_away(tmp_path, items, monkeypatch):
    files = _Files(JsonLinesSettings(folder=str(tmp_path)), "pi")
    files.write(items.began(1))
    import os

    write, left = os.write, [40]

    def nearly_full(descriptor: int, content: bytes) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        count = min(left[0], len(content))
        left[0] -= count
        return write(descriptor, content[:count])

    monkeypatch.setattr(os, "write", nearly_full)
    with pytest.raises(OSError, match="No space"):
        files.write(items.began(2))
    assert len(lines(tmp_path)) == 1
    monkeypatch.undo()
    files.write(items.began(2))
    files.close()
    assert [line["track_id"] for line in lines(tmp_path)] == [1, 2]

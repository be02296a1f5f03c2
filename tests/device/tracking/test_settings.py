from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from tartlet_device.tracking.settings import (
    Line,
    Rule,
    TrackerSettings,
    TrackingSettings,
    Zone,
    unknown_classes,
)

DOCS = (Path(__file__).parents[3] / "docs" / "tracking.md").read_text()
FLAGS = re.MULTILINE | re.DOTALL
TRIANGLE = "points = [[0, 0], [1, 0], [1, 1]]"


def read(text: str) -> TrackingSettings:
    return msgspec.toml.decode(text, type=TrackingSettings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tracker]\nhigh_scor = 1", "high_scor"),
        ("[tracker]\nhigh_score = 1.5", "tracker.high_score"),
        ("[tracker]\nhigh_score = 0.2\nlow_score = 0.3", "low_score = 0.3 is above"),
        ("[tracker]\nlost_s = 0", "tracker.lost_s"),
        ('[[zones]]\nname = "a"\npoints = [[0, 0], [1, 0]]', "points of zone 'a': .*at least 3"),
        ('[[zones]]\nname = "a"\npoints = [[0, 0], [1, 0], [1, 1.1]]', r"zones.*points"),
        (f'[[zones]]\nname = ""\n{TRIANGLE}', r"zones.*name"),
        (
            '[[zones]]\nname = "a"\npoints = [[0, 0], [1, 1], [1, 0], [0, 1]]',
            "points of zone 'a': .*crosses",
        ),
        (f'[[zones]]\nname = "a"\n{TRIANGLE}\n' * 2, "zones: the name 'a' is given twice"),
        ('[[lines]]\nname = "l"\nstart = [0, 0]\nend = [0, 0]', "line 'l': start and end"),
        ('[[rules]]\nname = "r"\nzone = "dor"', r"rule 'r': there is no zone 'dor' \(zones: th"),
        (
            f'[[zones]]\nname = "door"\n{TRIANGLE}\n[[rules]]\nname = "r"\nzone = "dor"',
            r"no zone 'dor' \(zones: door\)",
        ),
        ('[[rules]]\nname = "r"\nper = "person"', r"rules.*per"),
        ('[[rules]]\nname = "r"\n' * 2, "rules: the name 'r' is given twice"),
    ],
)
def test_a_mistake_is_named(text, words):
    with pytest.raises(msgspec.ValidationError, match=words):
        read(text)


def test_a_class_that_the_model_lacks_is_found():
    settings = read('[[rules]]\nname = "r"\nclasses = ["person", "dgo"]\n[[rules]]\nname = "s"\n')
    assert unknown_classes(settings, ("person", "dog")) == {"r": ["dgo"]}


SECTIONS = {
    "[tracking]": TrackingSettings,
    "[tracking.tracker]": TrackerSettings,
    "[[tracking.zones]]": Zone,
    "[[tracking.lines]]": Line,
    "[[tracking.rules]]": Rule,
}


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_is_in_the_docs_with_its_default(heading):
    (told,) = re.findall(rf"^## `{re.escape(heading)}`\n(.*?)(?=^## |\Z)", DOCS, FLAGS)
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", told, FLAGS))
    fields = {field.name: field.default for field in msgspec.structs.fields(SECTIONS[heading])}
    assert list(rows) == list(fields)
    for name, default in fields.items():
        if default is msgspec.NODEFAULT:
            assert rows[name] == "required"
        elif isinstance(default, int | float):
            assert float(rows[name]) == default


def test_the_example_in_the_docs_is_read():
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS, FLAGS)
    settings = msgspec.convert(msgspec.toml.decode(example)["tracking"], TrackingSettings)
    assert [zone.name for zone in settings.zones] == ["door", "street"]
    assert {rule.zone for rule in settings.rules} == {"door", "street"}
    assert settings.lines

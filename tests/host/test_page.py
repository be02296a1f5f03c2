"""Pages stand alone, escape what people wrote, and have plots that follow day and night."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import cv2
import jinja2
import numpy as np
import pytest

import tartlet_host
from tartlet_host import page, plotting

TEMPLATES = Path(tartlet_host.__file__).parent / "templates"


def trial(name: str, text: str, **values: object) -> str:
    """A page made of a template that is not in the folder."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.DictLoader({name: text}), jinja2.FileSystemLoader(TEMPLATES)]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name).render(values)


def test_the_base_needs_nothing_from_elsewhere() -> None:
    made = page.render("base.html")
    assert "<main>" in made
    assert "prefers-color-scheme: dark" in made
    assert "width=device-width" in made
    assert not re.search(r"https?://|<script|@import|url\(", made)


@pytest.mark.parametrize("template", sorted(each.name for each in TEMPLATES.glob("*.html")))
def test_every_template_parses(template: str) -> None:
    loaded = jinja2.Environment(autoescape=True).parse((TEMPLATES / template).read_text())
    assert loaded.body


def test_a_value_that_is_missing_is_an_error() -> None:
    text = "{% from 'parts.html' import figure %}{{ figure(1, nothing) }}"
    with pytest.raises(jinja2.UndefinedError, match="nothing"):
        trial("trial.html", text)


def test_boxes_and_words_on_a_picture() -> None:
    made = trial(
        "trial.html",
        "{% from 'parts.html' import overlay, box %}"
        "{% call overlay(uri, 64, 48, words) %}"
        "{{ box((1, 2, 11, 22), 'wrong', words) }}{{ box((0, 0, 5, 5), colour='#123456') }}"
        "{% endcall %}",
        uri="data:,",
        words='<b>"x"',
    )
    drawing = ET.fromstring(made[made.index("<svg") : made.index("</svg>") + len("</svg>")])
    rectangles = [each.attrib for each in drawing.iter("rect")]
    assert [each["class"].split() for each in rectangles] == [
        ["box", "halo"],
        ["box", "wrong"],
        ["box", "halo"],
        ["box"],
    ]
    assert [float(rectangles[1][name]) for name in ("x", "y", "width", "height")] == [1, 2, 10, 20]
    assert "stroke:#123456" in rectangles[3]["style"]
    assert "<b>" not in made


@pytest.mark.parametrize(
    ("shape", "shown"),
    [((40, 60), (40, 60)), ((1000, 2000), (480, 960)), ((3000, 1), (960, 1)), ((1, 1), (1, 1))],
)
def test_a_picture_in_the_page_is_no_larger_than_it_is_shown(
    shape: tuple[int, int], shown: tuple[int, int]
) -> None:
    rgb = np.zeros((*shape, 3), np.uint8)
    rgb[..., 0] = 200
    uri = page.picture_uri(rgb)
    kind, _, data = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert decoded is not None
    assert decoded.shape[:2] == shown
    assert np.abs(decoded.reshape(-1, 3).mean(axis=0) - (200, 0, 0)).max() < 5


def test_a_plot_is_text_and_lines_that_follow_the_page() -> None:
    with plotting.drawing(4, 2, columns=2) as (figure, axes):
        axes[0].plot([0, 1], [0, 1], color=plotting.COLOURS[0], label="a & b")
        axes[0].legend()
        axes[1].scatter([0, 1], [1, 0], color=plotting.COLOURS[1])
        svg = plotting.plot_svg(figure, 'Two "plots"')
    root = ET.fromstring(svg)
    assert root.get("aria-label") == 'Two "plots"'
    assert root.get("width") is None
    assert root.get("viewBox")
    assert "a & b" in "".join(root.itertext())
    assert "currentColor" in svg
    assert "var(--line)" in svg
    assert plotting.COLOURS[0].lower() in svg
    assert plotting.INK not in svg
    ids = re.findall(r' id="([^"]+)"', svg)
    assert ids
    assert all(f"#{each}" in svg for each in ids)


def test_the_same_plot_has_the_same_bytes() -> None:
    def make() -> str:
        with plotting.drawing(3, 2) as (figure, (axis,)):
            axis.plot([1, 2, 3])
            return plotting.plot_svg(figure, "rising")

    assert make() == make()

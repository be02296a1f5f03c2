"""docs/recipe.md names every key with its default, and every key is read by some code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from tartlet_host import recipe

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")
SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for path in (ROOT / "host" / "tartlet_host").rglob("*.py")
    if path.parent.name != "recipe"
)
SECTIONS = [
    ("", recipe.Recipe),
    ("[data]", recipe.DataRecipe),
    ("[input]", recipe.InputRecipe),
    ("[model]", recipe.ModelRecipe),
    ("[train]", recipe.TrainRecipe),
    ("[train.loss]", recipe.LossRecipe),
    ("[train.augment]", recipe.AugmentRecipe),
    ("[prune]", recipe.PruneRecipe),
    ("[quantize]", recipe.QuantizeRecipe),
    ("[gate]", recipe.GateRecipe),
    ("[tune]", recipe.TuneRecipe),
]
NESTED = (msgspec.Struct,)


def keys() -> list[tuple[str, str, str]]:
    """Section, key and default as the page writes it."""
    found = []
    for section, struct in SECTIONS:
        for field in msgspec.structs.fields(struct):
            if isinstance(field.default, NESTED):
                continue
            found.append((section, field.name, written(field)))
    return found


def written(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    default = field.default
    if default is msgspec.NODEFAULT:
        default = field.default_factory()
    return "none" if default is None else json.dumps(default, default=str)


def test_the_page_says_where_fine_tuning_differs() -> None:
    plain = {field.name: written(field) for field in msgspec.structs.fields(recipe.TrainRecipe)}
    part = PAGE.split("### `[prune.finetune]` differs in", 1)[1].split("\n## ", 1)[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", part, re.MULTILINE))
    assert rows == {
        field.name: written(field)
        for field in msgspec.structs.fields(recipe.FinetuneRecipe)
        if not isinstance(field.default, NESTED) and written(field) != plain[field.name]
    }


def rows_of(section: str) -> dict[str, str]:
    head = f"\n## `{section}`" if section else "# Recipes"
    part = re.split(r"\n###? ", PAGE.split(head, 1)[1], maxsplit=1)[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", part, re.MULTILINE))


@pytest.mark.parametrize(("section", "key", "default"), keys())
def test_the_page_names_the_key_and_its_default(section: str, key: str, default: str) -> None:
    assert rows_of(section).get(key, "missing") == default


@pytest.mark.parametrize("section", [section for section, _ in SECTIONS])
def test_the_page_names_nothing_else(section: str) -> None:
    known = {key for of, key, _ in keys() if of == section}
    assert set(rows_of(section)) == known


@pytest.mark.parametrize(("section", "key", "default"), keys())
def test_some_code_reads_the_key(section: str, key: str, default: str) -> None:
    assert re.search(rf"\.{key}\b", SOURCES), f"nothing reads {section} {key}"

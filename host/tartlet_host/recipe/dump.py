"""A recipe as TOML, for recipes that a program made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tartlet_host.recipe.schema import FinetuneRecipe, PruneRecipe, Recipe


def to_toml(recipe: Recipe, comment: str = "") -> str:
    """TOML that `parse_recipe` reads back as the same recipe, without keys at their defaults.

    Args:
        recipe: any.
        comment: put at the head, a line of it on each line.
    """
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    # What a recipe does not say of fine-tuning's augmentation is what it says of training's.
    finetune = FinetuneRecipe(augment=recipe.train.augment)
    default = Recipe(name=recipe.name, labels=recipe.labels, prune=PruneRecipe(finetune=finetune))
    changed = _difference(msgspec.to_builtins(recipe), msgspec.to_builtins(default))
    required = {"name": recipe.name, "labels": list(recipe.labels)}
    lines += _table({**required, **changed}, "")
    return "\n".join(lines) + "\n"


def _difference(values: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        before = default.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = _difference(value, before)
            if inner:
                found[key] = inner
        elif value is not None and value != before:
            found[key] = value
    return found


def _table(values: Mapping[str, Any], name: str) -> Iterator[str]:
    plain = {key: value for key, value in values.items() if not isinstance(value, dict)}
    if name and plain:
        yield ""
        yield f"[{name}]"
    for key, value in plain.items():
        yield f"{_key(key)} = {_value(value)}"
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _table(value, f"{name}.{_key(key)}" if name else _key(key))


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(each) for each in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + "}"
    return repr(value)


def _key(key: str) -> str:
    bare = key and all(each.isascii() and (each.isalnum() or each in "-_") for each in key)
    return key if bare else _string(key)


def _string(text: str) -> str:
    # JSON's escapes are TOML's, but for surrogate pairs and DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

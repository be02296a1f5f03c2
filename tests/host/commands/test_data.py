"""``tartlet data check`` and ``tartlet data split`` from the command line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tartlet_host import cli
from tartlet_host.dataset import coco
from tartlet_host.dataset.sample import Dataset, Sample, VideoFrame
from tartlet_shared import errors

MakeSquares = Callable[..., Dataset]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.cli, ["data", *map(str, arguments)])


@pytest.fixture
def folder(make_squares: MakeSquares, tmp_path: Path) -> Path:
    """A COCO data set of twelve pictures with two classes."""
    coco.write(make_squares(12, labels=("square", "circle")), tmp_path / "labels.json")
    return tmp_path


def damage(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "labels.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_check_says_what_is_there_and_writes_the_page(folder: Path) -> None:
    done = run("check", folder, "-o", folder / "check.html")
    assert done.exit_code == 0, done.output
    assert "12 pictures (12 with boxes, 0 background, 0 without a label file)" in done.output
    assert "square 6, circle 6" in done.output
    assert "tartlet data split" in done.output
    assert (folder / "check.html").read_text().startswith("<!doctype html>")


def test_check_says_all_that_is_wrong_at_once(folder: Path) -> None:
    def spoil(content: dict[str, Any]) -> None:
        content["annotations"][0]["bbox"] = [90, 10, 30, 30]
        content["annotations"][1]["bbox"] = [1, 1, 0, 5]
        content["annotations"][2]["category_id"] = 77

    damage(folder, spoil)
    (folder / "5.png").write_bytes(b"")
    done = run("check", folder)
    assert isinstance(done.exception, errors.DatasetError)
    assert done.exception.exit_code == 10
    assert "4 errors" in str(done.exception)
    assert done.exception.hint
    assert "Boxes that are empty, inverted or outside their picture (2)" in done.output
    assert "77" in done.output
    assert "5.png" in done.output
    assert "what to do:" in done.output


def test_check_as_json_is_complete_though_it_fails(folder: Path) -> None:
    (folder / "5.png").write_bytes(b"")
    done = run("check", folder, "--json")
    assert isinstance(done.exception, errors.DatasetError)
    report = json.loads(done.stdout)
    assert report["errors"] == 1
    (broken,) = [each for each in report["findings"] if each["level"] == "error"]
    assert broken["where"].endswith("5.png")


def test_check_reads_the_recipe(folder: Path) -> None:
    recipe = folder / "recipe.toml"
    recipe.write_text(
        'name = "shapes"\nlabels = ["square"]\n'
        "[input]\nheight = 64\nwidth = 96\n[data]\nsplit = 'time'\n"
    )
    done = run("check", folder, "--recipe", recipe, "--json")
    report = json.loads(done.stdout)
    assert report["canvas"] == [96, 64]
    assert report["counts"]["unknown-class"] == 6
    assert report["parts"]["train"]["classes"] == {"square": 6}


def test_check_of_two_finds_what_is_in_both(folder: Path) -> None:
    done = run("check", folder, "--validation", folder / "labels.json", "--json")
    assert isinstance(done.exception, errors.DatasetError)
    report = json.loads(done.stdout)
    assert report["counts"]["on-both-sides"] == 12
    assert set(report["parts"]) == {"train", "validation"}


def pictures(path: Path) -> list[str]:
    return [Path(str(each.picture)).resolve().name for each in coco.read(path).samples]


def test_split_by_holdout(folder: Path) -> None:
    done = run("split", folder, "-o", folder / "data", "--share", "0.25", "--json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["splits"]
    assert row["pictures"] == {"train": 9, "validation": 3}
    assert sum(row["boxes"]["validation"].values()) == 3
    train, validation = pictures(Path(row["train"])), pictures(Path(row["validation"]))
    assert sorted(train + validation) == sorted(f"{k}.png" for k in range(12))
    again = json.loads(run("split", folder, "-o", folder / "b", "--share", "0.25", "--json").stdout)
    assert pictures(Path(again["splits"][0]["train"])) == train
    checked = run("check", row["train"], "--validation", row["validation"])
    assert checked.exit_code == 0, checked.output


def test_split_by_time_leaves_a_gap(folder: Path) -> None:
    done = run("split", folder, "-o", folder, "--by", "time", "--share", "0.25", "--gap", "2")
    assert done.exit_code == 0, done.output
    assert pictures(folder / "train.json") == [f"{k}.png" for k in range(7)]
    assert pictures(folder / "validation.json") == [f"{k}.png" for k in range(9, 12)]
    assert "2 pictures are in neither" in done.output
    assert "tartlet train" in done.output


def test_split_by_groups(folder: Path) -> None:
    done = run("split", folder, "-o", folder, "--by", "grouped", "--group", r"(\d)\.png")
    assert done.exit_code == 0, done.output
    groups = [
        {name[-5] for name in pictures(folder / f"{part}.json")} for part in ("train", "validation")
    ]
    assert all(groups)
    assert not groups[0] & groups[1]


def test_split_into_folds(folder: Path) -> None:
    done = run("split", folder, "-o", folder / "f", "--by", "k-fold", "--folds", "3", "--json")
    rows = json.loads(done.stdout)["splits"]
    assert [Path(row["train"]).name for row in rows] == [f"fold-{k}-train.json" for k in (1, 2, 3)]
    judged = [name for row in rows for name in pictures(Path(row["validation"]))]
    assert sorted(judged) == sorted(f"{k}.png" for k in range(12))

    done = run("split", folder, "-o", folder / "i", "--by", "iterated", "--folds", "2", "--json")
    rows = json.loads(done.stdout)["splits"]
    assert [Path(row["validation"]).name for row in rows] == [
        f"round-{r}-fold-{f}-validation.json" for r in (1, 2, 3) for f in (1, 2)
    ]


def test_split_keeps_alike_pictures_together(folder: Path) -> None:
    data = coco.read(folder / "labels.json")
    rng = np.random.default_rng(4)
    twins: list[Sample] = []
    for place in range(6):
        rough = rng.integers(0, 255, (6, 8, 3), np.uint8)
        picture = cv2.resize(rough, (96, 64), interpolation=cv2.INTER_CUBIC)
        for name, turned in (("left", picture), ("right", picture[:, ::-1])):
            path = folder / f"{place}-{name}.png"
            assert cv2.imwrite(str(path), turned)
            twins.append(dataclasses.replace(data.samples[place], picture=path))
    coco.write(Dataset(data.labels, tuple(twins)), folder / "twins.json")
    done = run(
        "split", folder / "twins.json", "-o", folder / "kept", "--keep-alike", "--share", "0.5"
    )
    assert done.exit_code == 0, done.output
    sides = [
        {name[0] for name in pictures(folder / "kept" / f"{part}.json")}
        for part in ("train", "validation")
    ]
    assert [len(each) for each in sides] == [3, 3]
    assert not sides[0] & sides[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--group", "(.)"), "--group says nothing"),
        (("--by", "time", "--keep-alike"), "whole video"),
        (("--by", "k-fold", "--folds", "13"), "13 folds of 12"),
        (("--by", "grouped"), "cannot be divided"),
        (("--by", "grouped", "--group", "no(.)"), "does not match"),
    ],
)
def test_split_refuses_what_does_not_fit(
    folder: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = run("split", folder, "-o", folder / "data", *arguments)
    assert isinstance(done.exception, errors.TartletError)
    assert words in str(done.exception)
    assert done.exception.hint
    assert not (folder / "data").exists()


def test_split_does_not_overwrite_its_own_input(folder: Path) -> None:
    (folder / "labels.json").rename(folder / "train.json")
    before = (folder / "train.json").read_bytes()
    done = run("split", folder / "train.json", "-o", folder)
    assert isinstance(done.exception, errors.UsageError)
    assert (folder / "train.json").read_bytes() == before


def test_split_of_a_video_warns_when_it_shuffles(folder: Path, make_squares: MakeSquares) -> None:
    path = folder / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 64))
    data = make_squares(10)
    for sample in data.samples:
        picture = cv2.imread(str(sample.picture))
        assert picture is not None
        writer.write(picture)
    writer.release()
    frames = tuple(
        dataclasses.replace(sample, picture=VideoFrame(path, number))
        for number, sample in enumerate(data.samples, start=1)
    )
    coco.write(Dataset(data.labels, frames), folder / "frames.json")
    done = run("split", folder / "frames.json", "-o", folder / "data")
    assert done.exit_code == 0, done.output
    assert "--by time is for them" in done.output
    done = run("split", folder / "frames.json", "-o", folder / "data", "--by", "time")
    assert "--by time is for them" not in done.output

"""The search, with trainings that only pretend, and with two real processes."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import optuna
import pytest
from optuna.trial import TrialState

from tartlet_host.dataset import coco
from tartlet_host.dataset.sample import Dataset
from tartlet_host.prune.timing import Timing
from tartlet_host.recipe import (
    InputRecipe,
    ModelRecipe,
    Recipe,
    TrainRecipe,
    TuneRecipe,
    default_recipe,
    load_recipe,
)
from tartlet_host.train.loop import FitResult
from tartlet_host.tune import page, result, search, space, storage
from tartlet_shared.errors import ModelError, UsageError

MakeSquares = Callable[..., Dataset]
NOTHING = Dataset(("square",), ())


def recipe(trials: int = 3, **tuning: Any) -> Recipe:
    return msgspec.structs.replace(
        default_recipe(("square",), "squares"),
        input=InputRecipe(64, 64),
        model=ModelRecipe(
            backbone="plain", width=0.25, neck_channels=8, strides=(8,), pretrained=False
        ),
        train=TrainRecipe(batch_size=2, steps=50),
        tune=TuneRecipe(trials=trials, steps=4, **tuning),
    )


def pretend(monkeypatch: pytest.MonkeyPatch, score: Callable[[Recipe, int], float]) -> list[Recipe]:
    """Training that gives `score` of the recipe and the step at each look."""
    trained: list[Recipe] = []

    def fit(_: object, __: object, tried: Recipe, **options: Any) -> FitResult:
        trained.append(tried)
        every = tried.train.validate_every
        for step in range(every, tried.train.steps + 1, every):
            options["on_validation"](step, score(tried, step))
        last = score(tried, tried.train.steps)
        return FitResult((0.0,), 1.0, 2, map50=last)

    monkeypatch.setattr(search, "fit", fit)
    return trained


@pytest.fixture
def place(tmp_path: Path) -> storage.Place:
    return storage.Place(str(tmp_path / "study.db"))


def test_the_best_values_are_found_and_kept(
    place: storage.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = recipe(trials=12, neck_channels=(8, 16))
    trained = pretend(monkeypatch, lambda tried, _: 0.5 + tried.model.neck_channels / 100)
    study = storage.open_study(place, plan, timed=False, join=False)
    search.search(study, plan, NOTHING, NOTHING)
    found = result.read(study)
    assert len(found.trials) == len(trained) == 12
    assert found.best.map50 == pytest.approx(0.66)
    best = found.recipe(plan)
    assert best.model.neck_channels == 16
    assert best.train.steps == 50  # the recipe's own, not the trials'
    assert best.train.learning_rate == found.best.values[space.LEARNING_RATE]
    assert all(tried.train.steps == 4 for tried in trained)
    low, high = plan.tune.learning_rate
    assert all(low <= tried.train.learning_rate <= high for tried in trained)
    # Read again by another process.
    again = result.read(storage.open_study(place, plan, timed=False, join=True))
    assert again == found


def test_hopeless_trials_end_early(place: storage.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = recipe(trials=10)
    tried: list[Recipe] = []

    def score(now: Recipe, step: int) -> float:
        if now not in tried:
            tried.append(now)
        return 0.9 if len(tried) <= 5 else 0.1

    pretend(monkeypatch, score)
    study = storage.open_study(place, plan, timed=False, join=False, pruner="median")
    search.search(study, plan, NOTHING, NOTHING)
    states = [trial.state for trial in result.read(study).trials]
    assert states[:5] == ["complete"] * 5
    assert states[5:] == ["pruned"] * 5
    html = page.render("squares", result.read(study), "text of <the> recipe")
    assert "&lt;the&gt;" in html
    assert html.count("ended early") >= 5


def test_a_failed_trial_says_why_and_three_in_a_row_end_the_search(
    place: storage.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: object, **__: object) -> FitResult:
        raise ModelError("the loss is nan after 3 steps")

    monkeypatch.setattr(search, "fit", diverge)
    plan = recipe(trials=10)
    study = storage.open_study(place, plan, timed=False, join=False)
    with pytest.raises(ModelError, match="3 trials in a row") as caught:
        search.search(study, plan, NOTHING, NOTHING)
    assert "learning_rate" in caught.value.hint
    assert [trial.state for trial in study.trials] == [TrialState.FAIL] * 3
    with pytest.raises(ModelError, match="no trial"):
        result.read(study)


def test_ctrl_c_marks_the_trial_and_another_takes_its_place(
    place: storage.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = recipe(trials=3)
    trained = pretend(monkeypatch, lambda *_: 0.5)
    pretended: Callable[..., FitResult] = vars(search)["fit"]

    def interrupted(*arguments: Any, **options: Any) -> FitResult:
        if len(trained) == 1:
            raise KeyboardInterrupt
        return pretended(*arguments, **options)

    monkeypatch.setattr(search, "fit", interrupted)
    study = storage.open_study(place, plan, timed=False, join=False)
    with pytest.raises(KeyboardInterrupt):
        search.search(study, plan, NOTHING, NOTHING)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.FAIL]
    monkeypatch.setattr(search, "fit", pretended)
    joined = storage.open_study(place, plan, timed=False, join=True)
    search.search(joined, plan, NOTHING, NOTHING)
    states = [trial.state for trial in joined.trials]
    assert states.count(TrialState.COMPLETE) == 3
    assert len(states) == 4


def test_two_goals_give_a_front(place: storage.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = recipe(trials=14, neck_channels=(8, 16, 24))
    pretend(monkeypatch, lambda tried, _: tried.model.neck_channels / 100)
    timed: list[int] = []

    def timer(_: object, tried: Recipe) -> Timing:
        timed.append(tried.model.neck_channels)
        return Timing("litert", 10.0, float(tried.model.neck_channels))

    study = storage.open_study(place, plan, timed=True, join=False)
    search.search(study, plan, NOTHING, NOTHING, timer=timer)
    found = result.read(study)
    assert sorted(timed) == sorted(set(timed))  # each network once
    by_number = {trial.number: trial for trial in found.trials}
    front = [by_number[number] for number in found.front]
    assert {each.map50 for each in front} == {each.map50 for each in found.trials}
    assert all(each.time_share == (each.map50 or 0) * 10 for each in front)
    assert found.best.map50 == max(each.map50 or 0 for each in found.trials)
    assert "Accuracy against time" in page.render("squares", found, "")


def test_another_study_in_the_same_place_is_refused(place: storage.Place) -> None:
    plan = recipe()
    storage.open_study(place, plan, timed=False, join=False)
    with pytest.raises(UsageError, match="already") as caught:
        storage.open_study(place, plan, timed=False, join=False)
    assert "--resume" in caught.value.hint
    with pytest.raises(UsageError, match="another recipe"):
        storage.open_study(place, recipe(neck_channels=(8,)), timed=False, join=True)
    with pytest.raises(UsageError, match="other goals"):
        storage.open_study(place, plan, timed=True, join=True)
    more = recipe(trials=99)  # only the number of trials may change
    storage.open_study(place, more, timed=False, join=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("study.db", Path("study.db")),
        ("a/b.journal", Path("a/b.journal")),
        ("postgresql://me@server/studies", None),
    ],
)
def test_places(text: str, expected: Path | None) -> None:
    assert storage.Place(text).file == expected
    assert str(storage.Place(text)) == text


def test_a_password_is_not_shown() -> None:
    place = storage.Place("postgresql://me:secret@server:5432/studies")
    assert str(place) == "postgresql://me:***@server:5432/studies"
    assert "secret" in place.text


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no database")
    for text in (str(tmp_path / "file"), "nonsense://nowhere/studies"):
        with pytest.raises(UsageError, match="cannot be kept") as caught:
            storage.open_study(storage.Place(text), recipe(), timed=False, join=True)
        assert caught.value.where == text


@pytest.mark.parametrize("name", ["study.db", "study.journal"])
def test_a_study_survives_in_every_kind_of_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, lambda *_: 0.5)
    kept, plan = storage.Place(str(tmp_path / "deep" / name)), recipe(trials=2)
    search.search(storage.open_study(kept, plan, timed=False, join=False), plan, NOTHING, NOTHING)
    again = storage.open_study(kept, plan, timed=False, join=True)
    assert len(again.trials) == 2
    assert optuna.logging.get_verbosity() == optuna.logging.INFO  # left as it was


PROJECT = """
name = "squares"
labels = ["square"]
[input]
height = 64
width = 64
[model]
backbone = "plain"
width = 0.25
neck_channels = 8
strides = [8]
pretrained = false
[train]
batch_size = 2
[tune]
trials = 6
steps = 3
neck_channels = [8, 16]
"""


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tartlet_host", "tune", "recipe.toml", "--data", "."]
    return subprocess.Popen(
        [*command, "--validation", ".", "--study", "study.db", "--json", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trials_of(folder: Path) -> list[optuna.trial.FrozenTrial]:
    plan = load_recipe(folder / "recipe.toml")
    place = storage.Place(str(folder / "study.db"))
    return storage.open_study(place, plan, timed=False, join=True).trials


def wait_for_trial(folder: Path, worker: subprocess.Popen[str]) -> None:
    """Looks with SQLite alone: Optuna would make what it does not find."""
    while worker.poll() is None:
        with contextlib.suppress(sqlite3.OperationalError):
            address = f"file:{folder / 'study.db'}?mode=ro"
            with contextlib.closing(sqlite3.connect(address, uri=True)) as study:
                if study.execute("SELECT count(*) FROM trials").fetchone()[0]:
                    return
        time.sleep(0.2)
    raise AssertionError(worker.communicate()[1])


@pytest.fixture
def project(tmp_path: Path, make_squares: MakeSquares) -> Path:
    coco.write(make_squares(4), tmp_path / "labels.json")
    (tmp_path / "recipe.toml").write_text(PROJECT)
    return tmp_path


@pytest.mark.training
def test_two_processes_share_one_study(project: Path) -> None:
    first = start(project, "-o", "first")
    wait_for_trial(project, first)
    second = start(project, "-o", "second", "--resume")
    for worker in (first, second):
        output, complaint = worker.communicate(timeout=600)
        assert worker.returncode == 0, complaint
        assert json.loads(output)["best"]["map50"] >= 0
    trials = trials_of(project)
    assert len(trials) == 6  # together, not each
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert len({trial.params[space.LEARNING_RATE] for trial in trials}) == 6
    best = load_recipe(project / "first" / "best.toml")
    assert best.name == "squares"
    assert (project / "second" / "tune.html").is_file()


@pytest.mark.training
def test_a_real_ctrl_c_leaves_a_study_to_go_on_with(project: Path) -> None:
    (project / "recipe.toml").write_text(PROJECT.replace("steps = 3", "steps = 4000"))
    worker = start(project)
    wait_for_trial(project, worker)
    worker.send_signal(signal.SIGINT)
    _, complaint = worker.communicate(timeout=120)
    assert worker.returncode == 130, complaint
    assert "--resume" in complaint
    (trial,) = trials_of(project)
    assert trial.state == TrialState.FAIL

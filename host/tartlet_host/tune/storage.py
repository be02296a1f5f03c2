"""Where a study lives, so that it survives and several processes or machines can work on it."""

from __future__ import annotations

import contextlib
import re
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from tartlet_host.recipe import Recipe, TuneRecipe
from tartlet_host.recipe.dump import to_toml
from tartlet_shared import errors

if TYPE_CHECKING:
    import optuna

JOURNAL = ".journal"
HEARTBEAT, GRACE = 30, 120
"""Seconds between two signs of life of a trial, and those after which it counts as dead."""

TABLE_MAKERS = 10  # attempts

PrunerName = Literal["median", "hyperband", "none"]
_WHAT = "tartlet"  # the study's attribute that says what it searches


@dataclass(frozen=True)
class Place:
    """A study's place, as people write it.

    Attributes:
        text: a file (``.db``: SQLite, ``.journal``: Optuna's journal) or an SQLAlchemy URL.
    """

    text: str

    @property
    def file(self) -> Path | None:
        """The file, where it is one."""
        return None if "://" in self.text else Path(self.text)

    def __str__(self) -> str:
        """For people, without a password."""
        return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", self.text)


def open_study(
    place: Place,
    recipe: Recipe,
    *,
    timed: bool,
    join: bool,
    pruner: PrunerName = "median",
) -> optuna.Study:
    """Begin a study, or join one that is there.

    Args:
        place: where.
        recipe: its name is the study's; a study is joined only with the recipe it began with.
        timed: two goals, accuracy and time, in place of accuracy alone.
        join: whether a study that is there is welcome.
        pruner: what ends trials early; Optuna does so for a single goal only.

    Raises:
        UsageError: there is one and `join` is false, it has another recipe or other goals, or the
            place cannot be used.
    """
    import optuna

    what = {"recipe": _fingerprint(recipe), "timed": timed}
    with _failures_named(place):
        storage = _storage(place)
        known = {each.study_name for each in optuna.get_all_study_summaries(storage)}
        if recipe.name in known and not join:
            raise errors.UsageError(
                f"there is a study {recipe.name!r} already",
                where=str(place),
                hint="add trials to it with --resume, or name another place with --study",
            )
        fresh = recipe.name not in known
        with quiet():
            study = optuna.create_study(
                storage=storage,
                study_name=recipe.name,
                directions=["maximize", "minimize"] if timed else ["maximize"],
                load_if_exists=join,
                # A second process with the same seed would try the same values.
                sampler=_sampler(recipe.train.seed if fresh else None),
                pruner=_pruner(pruner, recipe),
            )
    before = study.user_attrs.get(_WHAT)
    if before is None:
        study.set_user_attr(_WHAT, what)
    elif before != what:
        raise errors.UsageError(
            "the study that is there has another recipe"
            if before["recipe"] != what["recipe"]
            else "the study that is there has other goals",
            where=str(place),
            hint="name another place with --study, or go back to what it began with",
        )
    return study


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Optuna tells its stories on standard error; ours has a progress bar."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _storage(place: Place) -> Any:
    import sqlalchemy
    from optuna import storages

    file = place.file
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    if file is not None and file.suffix == JOURNAL:
        from optuna.storages import journal

        return storages.JournalStorage(journal.JournalFileBackend(str(file)))
    url = place.text if file is None else f"sqlite:///{file}"
    # Two processes write at once: the second waits, rather than fail at once.
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    with quiet():
        for attempt in range(TABLE_MAKERS):
            try:
                return storages.RDBStorage(
                    url, engine_kwargs=options, heartbeat_interval=HEARTBEAT, grace_period=GRACE
                )
            except sqlalchemy.exc.OperationalError as error:
                # Another process makes the same tables at this moment.
                if "already exists" not in str(error) or attempt + 1 == TABLE_MAKERS:
                    raise
                time.sleep(0.5)
    raise AssertionError("the last attempt returns or raises")


def _sampler(seed: int | None) -> Any:
    """Tree-structured Parzen estimator (J. Bergstra et al., NeurIPS 2011).

    Running trials count as bad ones, so that processes side by side try different values.
    """
    from optuna.samplers import TPESampler

    with quiet():
        return TPESampler(seed=seed, n_startup_trials=5, constant_liar=True)


def _pruner(name: PrunerName, recipe: Recipe) -> Any:
    from optuna import pruners

    steps = recipe.tune.steps
    if name == "median":
        return pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=steps // 4)
    if name == "hyperband":
        return pruners.HyperbandPruner(min_resource=max(1, steps // 9), max_resource=steps)
    return pruners.NopPruner()


def _fingerprint(recipe: Recipe) -> str:
    """What makes two searches the same: everything but how many trials they have.

    Only what differs from the defaults, so that a key which a later version adds changes nothing.
    """
    default = TuneRecipe().trials
    tune = msgspec.structs.replace(recipe.tune, trials=default)
    return to_toml(msgspec.structs.replace(recipe, tune=tune))


@contextlib.contextmanager
def _failures_named(place: Place) -> Iterator[None]:
    import sqlalchemy
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError, OSError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise errors.UsageError(
            f"the study cannot be kept there: {reason}",
            where=str(place),
            hint="give a file such as study.db, or a URL such as postgresql://user@host/studies",
        ) from error

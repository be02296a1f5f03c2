"""What the demo plays: footage of a fixed camera, which frames teach and which ones test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import platformdirs

from tartlet_host import footage, recipe
from tartlet_host.dataset import video
from tartlet_host.recipe import Recipe
from tartlet_shared import errors

TEST_PICTURES = 60
LEAST_FRAMES = 100


@dataclass(frozen=True)
class Scene:
    """Footage and its use. Frames are numbered from 1, ranges include both ends.

    Attributes:
        footage: a video file.
        train: frames to learn from.
        test: frames that training never sees.
        truth: COCO file with hand-made boxes of test frames; None where nobody made any, then the
            test is against motion labels.
        recipe: what to train.
    """

    footage: Path
    train: tuple[int, int]
    test: tuple[int, int]
    truth: Path | None
    recipe: Recipe


def people(recipe_path: Path | None = None) -> Scene:
    """The footage of people on a square, with hand-made test boxes.

    Raises:
        FootageUnreadable: it cannot be fetched.
    """
    folder = models_folder() / "people"
    return Scene(
        footage=footage.fetch(platformdirs.user_cache_path("tartlet") / "footage"),
        train=(1, 550),
        test=(560, footage.FRAMES),
        truth=folder / "test.json",
        recipe=recipe.load_recipe(recipe_path or folder / "demo.toml"),
    )


def own(path: Path, label: str, recipe_path: Path | None) -> Scene:
    """A user's footage: the first 63 % teach, the last 30 % test, the gap keeps them apart.

    Raises:
        FootageUnreadable: the file is not a video, or too short.
        ConfigError: the recipe is wrong.
    """
    frames = video.count_frames(path)
    if frames < LEAST_FRAMES:
        raise errors.FootageUnreadable(
            f"it has {frames} frames, the demo needs {LEAST_FRAMES} or more",
            where=str(path),
            hint="record a minute or so of the scene with the camera fixed",
        )
    return Scene(
        footage=path,
        train=(1, min(int(frames * 0.63), 1000)),
        test=(int(frames * 0.70), frames),
        truth=None,
        recipe=recipe.load_recipe(recipe_path) if recipe_path else recipe.default_recipe((label,)),
    )


def models_folder() -> Path:
    """The recipes that come with tartlet, in its repository.

    Raises:
        ConfigError: this package was installed without the repository.
    """
    folder = Path(__file__).parents[3] / "models"
    if not folder.is_dir():
        raise errors.ConfigError(
            "the recipe and the test boxes of the demo are not there",
            where=str(folder),
            hint="run it from a copy of the repository, or with --video and --recipe",
        )
    return folder

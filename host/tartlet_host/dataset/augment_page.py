"""A page of augmented pictures: what training will see, looked at before it starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from tartlet_host.annotate import PALETTE
from tartlet_host.dataset.mix import Drawn
from tartlet_host.dataset.sample import Dataset, Sample, file_name
from tartlet_host.dataset.training_picture import draw, draw_plain
from tartlet_host.dataset.training_plan import Plan, planner
from tartlet_host.dataset.workers import drawing
from tartlet_host.page import Box, picture_uri, render
from tartlet_host.progress import Report
from tartlet_host.recipe import AugmentRecipe, Recipe, TrainRecipe

PICTURES = 24
VIEWS = 7  # of one picture, beside the plain one
SUBJECTS = 3  # pictures that are shown in several views
EXAMPLES = 4  # of each kind of change
QUIET = AugmentRecipe(
    scale_min=1.0, scale_max=1.0, flip=0.0, brightness=0.0, contrast=0.0, saturation=0.0
)
"""Changes nothing but the place on the canvas."""

# Each kind of change: its name, the keys that turn it on, and what to look for.
KINDS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("zoom", ("scale_min", "scale_max"), "Objects keep a size that the camera will show."),
    ("flip", ("flip",), "Not for text, arrows or anything that exists in one direction only."),
    ("flip_vertical", ("flip_vertical",), "For pictures from above; nobody walks on a ceiling."),
    ("turn", ("turn",), "For things that lie on a table; a text beside them turns too."),
    ("light", ("brightness", "contrast", "saturation"), "Still as bright as a day or an evening."),
    ("hue", ("hue",), "Only if an object stays what it is in another colour."),
    ("blur", ("blur",), "What is too soft to recognise teaches to guess."),
    ("noise", ("noise",), "As grainy as the camera at night, not more."),
    ("cutout", ("cutout",), "Objects mostly hidden are ignored, not taught."),
    ("mosaic", ("mosaic",), "Objects are about half their size: are they large enough still?"),
    ("mixup", ("mixup",), "Both pictures' objects are taught."),
    ("cutmix", ("cutmix",), "Boxes end where the patch ends."),
    ("paste", ("paste",), "Pasted objects have a size that is possible at their place."),
)


@dataclass(frozen=True)
class Shown:
    """A canvas on the page, as a JPEG."""

    uri: str
    caption: str
    boxes: Sequence[Box]


def augment_page(
    dataset: Dataset, recipe: Recipe, title: str, *, progress: Report | None = None
) -> str:
    """The page as HTML: the first pictures of a training run, single pictures in several views,
    and each kind of change that the recipe makes on its own.

    Args:
        dataset: what will be trained on.
        recipe: its canvas, seed and ``train.augment`` are shown.
        title: of the page.
        progress: called with the canvases drawn and their number.

    Raises:
        DatasetNotFound: the data set is empty.
        PictureUnreadable: see `read_picture`.
    """
    run = msgspec.structs.replace(recipe.train, workers=0)
    kinds = [kind for kind in KINDS if any(_differs(run.augment, key) for key in kind[1])]
    count = min(PICTURES, len(dataset.samples))
    subjects = min(SUBJECTS, len(dataset.samples))
    pen = _Pen(dataset, recipe, progress, count + subjects * (VIEWS + 1) + len(kinds) * EXAMPLES)
    plan = planner(dataset, run)
    plans = [plan(*divmod(number, run.batch_size)) for number in range(count)]
    return render(
        "data_augment.html",
        title=title,
        canvas=recipe.input,
        augment=msgspec.structs.asdict(run.augment),
        legend=[(label, _colour(place)) for place, label in enumerate(recipe.labels)],
        pictures=pen.draw(plans, run.augment),
        views=[
            [pen.plain(each.sample), *pen.draw(_again(each, VIEWS), run.augment)]
            for each in plans[:subjects]
        ],
        kinds=[
            {
                "name": name,
                "keys": {key: getattr(run.augment, key) for key in keys},
                "advice": advice,
                "pictures": pen.alone(dataset, run, keys),
            }
            for name, keys, advice in kinds
        ],
    )


_PROBABILITIES = frozenset(
    {"flip", "flip_vertical", "turn", "blur", "noise", "cutout", "mosaic", "mixup", "cutmix"}
)


class _Pen:
    """Draws canvases for the page and counts them."""

    def __init__(
        self, dataset: Dataset, recipe: Recipe, progress: Report | None, total: int
    ) -> None:
        self._labels = dataset.labels
        self._canvas = recipe.input
        self._store = drawing(recipe.input, recipe.train).open_store()
        self._progress, self._done, self._total = progress, 0, total

    def draw(self, plans: Iterable[Plan], recipe: AugmentRecipe) -> list[Shown]:
        """One canvas a plan."""
        shown = []
        for plan in plans:
            names = [file_name(sample.picture) for sample in (plan.sample, *plan.others)]
            caption = names[0] if plan.mix == "none" else f"{plan.mix} of {', '.join(names)}"
            drawn = draw(plan, self._store.get, self._canvas, recipe)
            shown.append(self._shown(drawn, caption))
        return shown

    def plain(self, sample: Sample) -> Shown:
        """A picture as the device will see it."""
        drawn = draw_plain(sample, self._store.get(sample), self._canvas)
        return self._shown(drawn, f"{file_name(sample.picture)} as it is")

    def alone(self, dataset: Dataset, run: TrainRecipe, keys: Sequence[str]) -> list[Shown]:
        """Examples of one kind of change that happens every time, and no other."""
        values = {key: getattr(run.augment, key) for key in keys}
        probable = [key for key in keys if key in _PROBABILITIES]
        alone = msgspec.structs.replace(QUIET, **values | dict.fromkeys(probable, 1.0))
        plan = planner(dataset, msgspec.structs.replace(run, augment=alone))
        plans = (plan(*divmod(number, run.batch_size)) for number in range(EXAMPLES))
        return self.draw(plans, alone)

    def _shown(self, drawn: Drawn, caption: str) -> Shown:
        canvas, boxes = drawn
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)
        rows = zip(boxes.xyxy.tolist(), boxes.class_ids, boxes.ignore, strict=True)
        return Shown(
            uri=picture_uri(canvas),
            caption=caption,
            boxes=[
                Box(
                    (left, top, right, bottom),
                    "ignored" if ignored else "",
                    "to ignore" if ignored else self._labels[class_id],
                    "" if ignored else _colour(int(class_id)),
                )
                for (left, top, right, bottom), class_id, ignored in rows
            ],
        )


def _differs(recipe: AugmentRecipe, key: str) -> bool:
    return bool(getattr(recipe, key) != getattr(QUIET, key))


def _again(plan: Plan, count: int) -> Iterable[Plan]:
    """The same picture in other views, not mixed with others."""
    seed, step, slot = plan.seed
    for view in range(1, count + 1):
        yield dataclasses.replace(plan, mix="none", others=(), seed=(seed, step + view, slot))


def _colour(class_id: int) -> str:
    red, green, blue = PALETTE[class_id % len(PALETTE)]
    return f"#{red:02x}{green:02x}{blue:02x}"

"""Does the compressed model see what the float one sees?

A full-int8 export that finds nothing at all is the most common failure of all converters; nobody
should learn that from a camera.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tartlet_device.preprocess import Picture
from tartlet_host.evaluate.predictor import ModelPredictor
from tartlet_shared import errors, nms
from tartlet_shared.detections import Detections, FloatArray

SAME_OBJECT_IOU = 0.5
SCORE_MARGIN = 0.05
"""A detection this close to the score threshold may be there on one side only."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Limits:
    """What a compressed model must reach; see `Parity`."""

    agreement: float = 0.9
    score_difference: float = 0.1
    correlation: float = 0.9


@dataclass(frozen=True)
class Parity:
    """How alike two models are.

    Attributes:
        pictures: how many were compared.
        reference, candidate: clear detections of the float and the compressed model.
        matched: pairs of the same object among them.
        agreement: part of the clear detections of either that the other has too, in ``[0, 1]``;
            1 when neither sees anything.
        score_difference: mean over the pairs.
        iou: mean over the pairs; 1 without pairs.
        score_correlation: of all raw scores (logits) together.
        correlations: of each raw output over all pictures, in the model's order. A level whose
            size of objects never occurs hardly varies, so a low one alone means nothing.
    """

    pictures: int
    reference: int
    candidate: int
    matched: int
    agreement: float
    score_difference: float
    iou: float
    score_correlation: float
    correlations: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Match:
    """Detections of the same object: row ``first[k]`` of one and ``second[k]`` of the other."""

    first: np.ndarray[tuple[int], np.dtype[np.int64]]
    second: np.ndarray[tuple[int], np.dtype[np.int64]]
    iou: FloatArray


def match(one: Detections, other: Detections, *, least_iou: float = SAME_OBJECT_IOU) -> Match:
    """Pair detections of the same class, best overlap first, each used once at most."""
    iou = nms.box_iou(one.xyxy, other.xyxy)
    iou[one.class_id[:, None] != other.class_id[None, :]] = 0
    pairs: list[tuple[int, int]] = []
    overlaps: list[float] = []
    rest = iou.copy()
    while rest.size and float(rest.max()) >= least_iou:
        row, column = (int(each) for each in np.unravel_index(int(rest.argmax()), rest.shape))
        pairs.append((row, column))
        overlaps.append(float(iou[row, column]))
        rest[row, :] = -1
        rest[:, column] = -1
    places = np.array(pairs, np.int64).reshape(-1, 2)
    return Match(places[:, 0], places[:, 1], np.array(overlaps, np.float32))


def compare(
    reference: ModelPredictor,
    candidate: ModelPredictor,
    pictures: Iterable[Picture],
    *,
    limits: Limits = Limits(),
    progress: Progress | None = None,
) -> Parity:
    """Run both on the same pictures.

    Args:
        reference: the float model; its score threshold is used for both.
        candidate: the same network, compressed.
        pictures: RGB; a dozen from the data set will do.
        limits: what to refuse.
        progress: called with pictures done and in all, when their number is known.

    Raises:
        ParityFailed: the candidate sees nothing where the reference sees something, or is below a
            limit.
        DatasetNotFound: there are no pictures.
    """
    total = len(pictures) if isinstance(pictures, Sequence) else 0
    pairs: list[tuple[Detections, Detections]] = []
    raw: list[tuple[list[FloatArray], list[FloatArray]]] = []
    for rgb in pictures:
        pairs.append((reference.predict(rgb), candidate.predict(rgb)))
        raw.append((reference.raw(rgb), candidate.raw(rgb)))
        if progress is not None:
            progress(len(pairs), max(total, len(pairs)))
    if not pairs:
        raise errors.DatasetNotFound("there are no pictures to compare the models on")
    parity = replace(
        summarise(pairs, reference.score_threshold),
        score_correlation=_correlation(raw, reference.detector.decoding.score_outputs()),
        correlations=tuple(
            _correlation(raw, [place]) for place in range(len(reference.runtime.outputs))
        ),
    )
    check(parity, limits, where=str(candidate.path))
    return parity


def summarise(pairs: Sequence[tuple[Detections, Detections]], threshold: float) -> Parity:
    """Count what two models have in common; the correlations of raw outputs stay open.

    Args:
        pairs: for each picture what the reference and the candidate found, down to low scores.
        threshold: of the score. Detections within `SCORE_MARGIN` of it decide nothing.
    """
    clear, floor = threshold + SCORE_MARGIN, max(0.0, threshold - SCORE_MARGIN)
    clear_counts = np.zeros(2, np.int64)
    shared_counts = np.zeros(2, np.int64)
    scores: list[float] = []
    ious: list[float] = []
    for one, other in pairs:
        one, other = one[one.score >= floor], other[other.score >= floor]
        found = match(one, other)
        score, other_score = one.score[found.first], other.score[found.second]
        clear_counts += [(one.score >= clear).sum(), (other.score >= clear).sum()]
        shared_counts += [(score >= clear).sum(), (other_score >= clear).sum()]
        either = (score >= clear) | (other_score >= clear)
        scores += np.abs(score - other_score)[either].tolist()
        ious += found.iou[either].tolist()
    total = int(clear_counts.sum())
    return Parity(
        pictures=len(pairs),
        reference=int(clear_counts[0]),
        candidate=int(clear_counts[1]),
        matched=len(scores),
        agreement=int(shared_counts.sum()) / total if total else 1.0,
        score_difference=float(np.mean(scores)) if scores else 0.0,
        iou=float(np.mean(ious)) if ious else 1.0,
        score_correlation=1.0,
        correlations=(),
    )


def check(parity: Parity, limits: Limits, *, where: str) -> None:
    """Refuse a candidate that is too far off.

    Raises:
        ParityFailed: with the figure and its limit.
    """
    hint = "quantize with more calibration pictures, or use the float or the other runtime's model"
    if parity.reference and not parity.candidate:
        raise errors.ParityFailed(
            f"the compressed model sees nothing where the float model sees {parity.reference} "
            f"objects in {parity.pictures} pictures",
            where=where,
            hint=hint,
        )
    for what, value, limit, low in (
        ("agreement of the detections", parity.agreement, limits.agreement, True),
        ("mean difference of the scores", parity.score_difference, limits.score_difference, False),
        ("correlation of the raw scores", parity.score_correlation, limits.correlation, True),
    ):
        # Written so that a value that is not a number fails.
        if not (value >= limit if low else value <= limit):
            raise errors.ParityFailed(
                f"{what} is {value:.3f}, at {'least' if low else 'most'} {limit:.3f} is accepted",
                where=where,
                hint=hint,
            )


def _correlation(
    raw: Sequence[tuple[list[FloatArray], list[FloatArray]]], places: Sequence[int]
) -> float:
    """Pearson's, over some outputs of all pictures; where one side is constant, equality."""
    one, other = (
        np.concatenate([outputs[side][place].ravel() for outputs in raw for place in places])
        for side in (0, 1)
    )
    if one.std() == 0 or other.std() == 0:
        return float(np.allclose(one, other))
    return float(np.corrcoef(one, other)[0, 1])

"""From networks to model files: candidates, what was measured of them, and which one passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tartlet_host import golden_pictures, package
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import Dataset
from tartlet_host.evaluate import candidates, latency
from tartlet_host.evaluate import mean_average_precision as precision
from tartlet_host.evaluate.candidates import Candidate
from tartlet_host.evaluate.evaluation import Evaluation, evaluate
from tartlet_host.evaluate.latency import Latency
from tartlet_host.evaluate.mean_average_precision import Metrics
from tartlet_host.evaluate.predictor import ModelPredictor, open_predictor
from tartlet_host.progress import Report
from tartlet_host.quantize.calibration import spread
from tartlet_host.quantize.conversion import ModelFile
from tartlet_host.run.names import name_of
from tartlet_shared.bundle import Bundle
from tartlet_shared.detections import Detections

PARITY_PICTURES = 16


@dataclass(frozen=True, eq=False)
class Measured:
    """A model file and what was measured of it.

    Attributes:
        name: for people.
        made: the file.
        predictor: opened, one thread.
        validation: on the validation pictures.
        latency: of the inference alone.
        disparity: how its boxes differ from those of the float model it was made from; "" where
            they do not.
    """

    name: str
    made: ModelFile
    predictor: ModelPredictor
    validation: Metrics
    latency: Latency
    disparity: str = ""


@dataclass(frozen=True, eq=False)
class Choice:
    """What the gate said.

    Attributes:
        chosen: the model to package.
        reference: the float parent.
        refusals: by name, why the others may not be packaged; "" where they may.
    """

    chosen: Measured
    reference: Measured
    refusals: dict[str, str]


def measure(made: Sequence[ModelFile], validation: Dataset, report: Report) -> list[Measured]:
    """Accuracy, latency and parity of every model, the models taking turns where time counts.

    Args:
        made: the float parent first.
        validation: labelled pictures that training never saw.
        report: progress.
    """
    predictors = [open_predictor(each.path, labels=validation.labels) for each in made]
    aligned = precision.align(validation, validation.labels)
    steps = 2 * len(made) + 1
    found: list[Metrics] = []
    for predictor in predictors:
        found.append(precision.measure(aligned, precision.predict_all(predictor, aligned)))
        report(len(found), steps)
    pictures = [read_picture(sample) for sample in spread(aligned.samples, PARITY_PICTURES)]
    times = latency.measure(
        {
            each.path.name: latency.inference(predictor, pictures[0])
            for each, predictor in zip(made, predictors, strict=True)
        }
    )
    report(len(made) + 1, steps)
    measured: list[Measured] = []
    parents = {
        (each.path.stem.partition("-")[0], each.runtime): predictor
        for each, predictor in zip(made, predictors, strict=True)
        if each.precision == "float"
    }
    for each, predictor, metrics in zip(made, predictors, found, strict=True):
        entry = Measured(name_of(each), each, predictor, metrics, times[each.path.name])
        parent = parents.get((each.path.stem.partition("-")[0], each.runtime))
        if parent is not None and parent is not predictor:
            compared = candidates.compare_boxes(_candidate(entry), parent, predictor, pictures)
            entry = replace(entry, disparity=compared.disparity)
        measured.append(entry)
        report(len(made) + 1 + len(measured), steps)
    return measured


def choose(measured: Sequence[Measured], largest_loss: float) -> Choice:
    """The fastest int8 model that passes the gate; if none does, the fastest that passes.

    Times on a laptop say little about float against int8 on a Pi, where int8 gains 1.1 to 3 times;
    so float models are only taken where no int8 model is accurate enough.

    Raises:
        ParityFailed: nothing passes.
    """
    reference = measured[0]
    goal = reference.validation.map50
    every = [_candidate(each) for each in measured]
    refusals = {each.name: candidates.refusal(each, goal, largest_loss) for each in every}
    int8 = [each for each in measured if each.made.precision.startswith("int8")]
    passing = [each for each in int8 if not refusals[each.name]]
    among = passing or [each for each in measured if each is not reference]
    best = candidates.choose(
        [_candidate(each) for each in among], reference=goal, largest_loss=largest_loss
    )
    chosen = next(each for each in measured if each.name == best.name)
    return Choice(chosen, reference, refusals)


def seal(chosen: Measured, data: Dataset, folder: Path, *, name: str, origin: str) -> Bundle:
    """Package the chosen model, with the score thresholds that suit the validation pictures."""
    predictor = open_predictor(
        chosen.made.path,
        labels=data.labels,
        score_threshold=package.score_thresholds(chosen.validation),
    )
    return package.build_bundle(
        predictor,
        folder,
        name=name,
        golden=golden_pictures.choose(predictor, data),
        metrics=chosen.validation.figures(),
        provenance={**package.provenance(predictor), **({"labels": origin} if origin else {})},
    )


@dataclass(frozen=True, eq=False)
class Tested:
    """A model on the pictures that decided nothing.

    Attributes:
        evaluation: all figures.
        found: detections in each picture.
    """

    evaluation: Evaluation
    found: list[Detections]


def test(
    measured: Sequence[Measured],
    pictures: Dataset,
    thresholds: Sequence[float],
    report: Report,
) -> dict[str, Tested]:
    """Every model on the test pictures, by name; the thresholds are those of the bundle."""
    tested: dict[str, Tested] = {}
    for each in measured:
        aligned = precision.align(pictures, each.predictor.labels)
        found = precision.predict_all(each.predictor, aligned)
        evaluation = evaluate(
            aligned,
            found,
            thresholds=thresholds,
            canvas=each.predictor.detector.preprocessing,
        )
        tested[each.name] = Tested(evaluation, found)
        report(len(tested), len(measured))
    return tested


def _candidate(measured: Measured) -> Candidate:
    return Candidate(
        measured.name,
        measured.made.path,
        measured.validation.map50,
        measured.latency.p50,
        measured.disparity,
    )

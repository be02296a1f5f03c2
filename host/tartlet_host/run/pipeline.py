"""A run: networks, candidates, the gate, the bundle, and the test that decides nothing."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tartlet_host import machine
from tartlet_host.dataset.check import CheckReport
from tartlet_host.dataset.sample import Dataset
from tartlet_host.quantize import candidates as quantization
from tartlet_host.quantize import conversion
from tartlet_host.quantize.conversion import ModelFile
from tartlet_host.recipe import Recipe
from tartlet_host.run import models
from tartlet_host.run.data import RunData
from tartlet_host.run.models import Choice, Measured, Tested
from tartlet_host.run.networks import Networks, train_and_prune
from tartlet_host.run.summary import Candidate, Summary, Transfer
from tartlet_host.run.timeline import Timeline
from tartlet_shared.bundle import Bundle
from tartlet_shared.errors import ParityFailed

logger = logging.getLogger(__name__)

HELD_OUT = "pictures held out from training"


@dataclass(frozen=True, eq=False)
class Outcome:
    """All that a run made and measured.

    Attributes:
        recipe: what it followed.
        checked: what the check of the pictures found; None where it was left out.
        networks: what was trained, with the pictures.
        measured: every model file, the float parent first.
        choice: which one is in the bundle, and why the others are not.
        bundle: the result.
        test: the pictures of `tested`.
        truth: what they were measured against, in words.
        tested: every model on them, by name.
    """

    recipe: Recipe
    checked: CheckReport | None
    networks: Networks
    measured: Sequence[Measured]
    choice: Choice
    bundle: Bundle
    test: Dataset
    truth: str
    tested: dict[str, Tested]


def run(
    recipe: Recipe,
    data: RunData,
    folder: Path,
    timeline: Timeline,
    *,
    checked: CheckReport | None = None,
    truth: str = "the test pictures' labels",
    stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Train, prune, convert, measure, choose and package.

    Args:
        recipe: what to do.
        data: the pictures.
        folder: where everything goes; checkpoints that are there already are used.
        timeline: shows the steps.
        checked: what was found in the pictures, for the report.
        truth: what the test is against, in words.
        stop: asked during training; true writes a state and raises `KeyboardInterrupt`.

    Raises:
        ParityFailed: no candidate passes the gate.
        TartletError: whatever step failed; what earlier steps made stays in `folder`.
    """
    networks = train_and_prune(recipe, data, folder, timeline, stop)
    data = networks.data
    made = _convert(networks, folder, timeline)
    with timeline.step("Measuring the candidates") as report:
        measured = models.measure(made, data.validation, report)
    choice = models.choose(measured, recipe.gate.largest_loss)
    with timeline.step("Packaging"):
        bundle = models.seal(
            choice.chosen, data.train, folder / "bundle", name=recipe.name, origin=data.origin
        )
    test = data.validation if data.test is None else data.test
    thresholds = bundle.manifest.decoding.thresholds(len(recipe.labels))
    with timeline.step("Measuring on test pictures") as report:
        tested = models.test(measured, test, thresholds, report)
    return Outcome(
        recipe=recipe,
        checked=checked,
        networks=networks,
        measured=measured,
        choice=choice,
        bundle=bundle,
        test=test,
        truth=HELD_OUT if data.test is None else truth,
        tested=tested,
    )


def summarise(
    outcome: Outcome, timeline: Timeline, seconds: float, transfers: Sequence[Transfer] = ()
) -> Summary:
    """The figures of a run."""
    reference = outcome.choice.reference
    candidates = []
    for each in outcome.measured:
        metrics = outcome.tested[each.name].evaluation.metrics
        candidates.append(
            Candidate(
                name=each.name,
                map50=metrics.map50,
                map50_95=metrics.map50_95,
                validation_map50=each.validation.map50,
                file_bytes=each.predictor.size,
                latency_p50_ms=each.latency.p50,
                latency_p95_ms=each.latency.p95,
                speedup=reference.latency.p50 / each.latency.p50,
                packaged=each is outcome.choice.chosen,
                refusal=outcome.choice.refusals[each.name],
            )
        )
    metrics = outcome.tested[reference.name].evaluation.metrics
    return Summary(
        name=outcome.recipe.name,
        truth=outcome.truth,
        test_pictures=metrics.pictures,
        test_boxes=metrics.boxes,
        candidates=tuple(candidates),
        steps=dict(timeline.seconds),
        seconds=round(seconds, 1),
        machine=_machine(),
        bundle=outcome.bundle.digest,
        transfers=tuple(transfers),
    )


def _machine() -> dict[str, str]:
    """What it ran on, for whoever compares figures."""
    here = machine.examine()
    return {
        "processor": here.processor,
        "cores": str(here.cores),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": here.torch,
    }


def _convert(networks: Networks, folder: Path, timeline: Timeline) -> list[ModelFile]:
    """Candidates of the parent and of the pruned network, the float parent first."""
    made: list[ModelFile] = []
    refused: list[ParityFailed] = []
    data, runtimes = networks.data, conversion.default_runtimes()
    for source in filter(None, (networks.parent, networks.pruned)):
        try:
            candidates = quantization.make(
                source,
                folder,
                data.train,
                data.validation,
                runtimes=runtimes,
                stage=_stage_of(source.stem, timeline),
            )
        except ParityFailed as error:
            # The other network may still do; of this one the float files stay to compare with.
            logger.warning("%s: %s", source.name, error.what)
            refused.append(error)
            made += conversion.convert(source, folder, runtimes=runtimes, calibration=None)
        else:
            made += candidates.gated.files
    if len(refused) == (1 if networks.pruned is None else 2):
        raise refused[0]
    return made


def _stage_of(network: str, timeline: Timeline) -> quantization.Stage:
    return lambda name: timeline.step(f"{name} ({network})")

"""What a run shows a person: its report, and the pages that say more."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tartlet_device.pictures import decode_picture
from tartlet_device.preprocess import Picture
from tartlet_host.dataset import check_page
from tartlet_host.dataset.augment_page import augment_page
from tartlet_host.dataset.check import CheckReport
from tartlet_host.dataset.findings import KINDS
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import Dataset, count
from tartlet_host.evaluate import evaluation_page, samples
from tartlet_host.evaluate.evaluation_page import EvaluatedModel, EvaluationPage
from tartlet_host.evaluate.remarks import remarks
from tartlet_host.evaluate.samples import TestPicture
from tartlet_host.files import write_atomically
from tartlet_host.prune import page as prune_page
from tartlet_host.quantize import page as quantize_page
from tartlet_host.run import report
from tartlet_host.run.models import Measured, Tested
from tartlet_host.run.pipeline import Outcome
from tartlet_host.run.report import CandidateRow, ReportData
from tartlet_host.run.summary import Summary

REPORT = "report.html"


def write(outcome: Outcome, summary: Summary, folder: Path, **more: object) -> Path:
    """Write the report and the pages beside it; returns the report's file.

    Args:
        outcome, summary: of the run.
        folder: of the run.
        more: fields of `ReportData` that only the caller knows, such as those of a device.
    """
    details = write_details(outcome, folder)
    data = replace(report_data(outcome, summary), details=details, **more)  # type: ignore[arg-type]
    report.write(data, folder / REPORT)
    return folder / REPORT


def report_data(outcome: Outcome, summary: Summary) -> ReportData:
    """Everything the report shows of the run itself."""
    chosen = outcome.choice.chosen
    networks, recipe = outcome.networks, outcome.recipe
    data = networks.data
    tested = outcome.tested[chosen.name]
    return ReportData(
        title=f"{recipe.name}: from pictures to a bundle",
        candidates=[_row(each, outcome) for each in outcome.measured],
        chosen=chosen.name,
        created=time.strftime("%Y-%m-%d %H:%M"),
        source=f"measured against {summary.truth}",
        least=outcome.choice.reference.validation.map50 - recipe.gate.largest_loss,
        remarks=remarks(tested.evaluation),
        losses={name: fitted.losses for name, fitted in networks.fits.items()},
        looks={name: fitted.looks for name, fitted in networks.fits.items()},
        cut=prune_page.parts(networks.pruning.changes) if networks.pruning else (),
        findings=_findings(outcome.checked),
        shares=_shares(data.parts()),
        pictures=_pictures(outcome.test, tested),
        labels=_origin(data.origin, data.train),
        contact_sheet=_read(data.sheets[0]) if data.sheets else None,
        timeline=summary.steps,
        environment=summary.machine,
    )


def write_details(outcome: Outcome, folder: Path) -> Mapping[str, str]:
    """Write the pages that say more; returns what each is about and its name."""
    name = outcome.recipe.name
    pages = {"the mistakes in detail": ("evaluation.html", _evaluation(outcome))}
    if outcome.checked is not None:
        checked = check_page.check_page(outcome.checked, f"{name}: the pictures")
        pages["the pictures and what is wrong with them"] = ("data.html", checked)
    augmented = augment_page(outcome.networks.data.train, outcome.recipe, f"{name}: training")
    pages["what training saw"] = ("augment.html", augmented)
    files = [each.made for each in outcome.measured]
    if any(each.layers for each in files):
        layers = quantize_page.render(f"{name}: int8, layer by layer", files)
        pages["int8, layer by layer"] = ("layers.html", layers)
    pruning = outcome.networks.pruning
    if pruning is not None:
        title = f"{name}: what pruning left"
        pages["pruning, layer by layer"] = ("pruning.html", prune_page.render(title, pruning))
    for file, content in pages.values():
        write_atomically(folder / file, content)
    return {words: file for words, (file, _) in pages.items()}


def _row(measured: Measured, outcome: Outcome) -> CandidateRow:
    return CandidateRow(
        measured.name,
        measured.predictor.size,
        outcome.tested[measured.name].evaluation.metrics,
        measured.latency,
        measured.validation.map50,
        outcome.choice.refusals[measured.name],
    )


def _evaluation(outcome: Outcome) -> str:
    chosen = outcome.choice.chosen
    others = [each for each in outcome.measured if each is not chosen]
    return evaluation_page.render(
        EvaluationPage(
            title=f"{outcome.recipe.name}: the mistakes",
            data=f"{len(outcome.test.samples)} pictures, {outcome.truth}",
            created=time.strftime("%Y-%m-%d %H:%M"),
            models=[
                EvaluatedModel(
                    each.name,
                    each.predictor.runtime.version,
                    each.predictor.size,
                    outcome.tested[each.name].evaluation,
                    each.latency,
                )
                for each in (chosen, *others)
            ],
        )
    )


def _findings(checked: CheckReport | None) -> list[str]:
    if checked is None:
        return []
    return [
        f"{KINDS[kind].title}: {number}"
        for kind, number in checked.counts.items()
        if number and KINDS[kind].level == "warning"
    ]


def _shares(parts: Mapping[str, Dataset]) -> dict[str, tuple[int, int, int]]:
    return {name: (len(part.samples), *count(part)) for name, part in parts.items()}


def _pictures(test: Dataset, tested: Tested) -> list[TestPicture]:
    thresholds = [each.at_threshold.threshold for each in tested.evaluation.metrics.classes]
    return [
        TestPicture(caption, read_picture(test.samples[place]), test.samples[place], finding)
        for caption, place, finding in samples.choose(test, tested.found, thresholds)
    ]


def _origin(origin: str, train: Dataset) -> Sequence[str]:
    if not origin:
        return ()
    boxes, ignored = count(train)
    return (
        f"{boxes} boxes on {len(train.samples)} training frames came {origin}; nobody drew one. "
        "What differs from the empty scene and has the size that such an object has at that place "
        "became a box.",
        f"{ignored} regions moved but could not be told; they were taught neither as objects nor "
        "as background.",
    )


def _read(path: Path) -> Picture:
    return decode_picture(path.read_bytes(), where=str(path))

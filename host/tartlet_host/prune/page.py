"""The report on a pruning as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import markupsafe
from matplotlib.axes import Axes

from tartlet_host import page
from tartlet_host.plotting import COLOURS, INK, drawing, plot_svg
from tartlet_host.prune.report import LayerChange, PruneReport

BEFORE = "#9fb8c9"
"""What was there; what is left is drawn over it."""


@dataclass(frozen=True)
class LayerTimes:
    """Milliseconds of each layer by name, see `tartlet_host.prune.layer_times`."""

    before: Mapping[str, float]
    after: Mapping[str, float]


@dataclass(frozen=True)
class Part:
    """A part of the network, its layers added up; channels are those of its widest layer.

    Attributes:
        name: for people.
        layers: how many there were.
        channels, multiplies, milliseconds: before and after; milliseconds None where not measured.
    """

    name: str
    layers: int
    channels: tuple[int, int]
    multiplies: tuple[int, int]
    milliseconds: tuple[float, float] | None


def parts(changes: Sequence[LayerChange], times: LayerTimes | None = None) -> tuple[Part, ...]:
    """The layers added up by part of the network, in the order they run."""
    by_stage: dict[str, list[LayerChange]] = {}
    for change in changes:
        by_stage.setdefault(change.stage, []).append(change)
    return tuple(_part(_readable(stage), layers, times) for stage, layers in by_stage.items())


def render(title: str, report: PruneReport, times: LayerTimes | None = None) -> str:
    """The page.

    Args:
        title: at its head.
        report: what was done.
        times: of the parent's layers and the result's, where measured.
    """
    changes = report.changes
    plots = [
        _bars(
            changes,
            [each.multiplies_before / 1e6 for each in changes],
            [each.multiplies_after / 1e6 for each in changes],
            "million multiplies",
        )
    ]
    if times is not None:
        plots.append(
            _bars(
                changes,
                [times.before.get(each.name, 0.0) for each in changes],
                [times.after.get(each.name, 0.0) for each in changes],
                "milliseconds (ONNX Runtime, float, one thread)",
            )
        )
    return page.render(
        "prune.html",
        title=title,
        report=report,
        parts=parts(changes, times),
        layers=[_part(each.name, [each], times) for each in changes],
        timed=times is not None,
        plots=plots,
    )


def _part(name: str, layers: Sequence[LayerChange], times: LayerTimes | None) -> Part:
    milliseconds = None
    if times is not None:
        milliseconds = (
            sum(times.before.get(each.name, 0.0) for each in layers),
            sum(times.after.get(each.name, 0.0) for each in layers),
        )
    return Part(
        name=name,
        layers=len(layers),
        channels=(
            max(each.channels_before for each in layers),
            max(each.channels_after for each in layers),
        ),
        multiplies=(
            sum(each.multiplies_before for each in layers),
            sum(each.multiplies_after for each in layers),
        ),
        milliseconds=milliseconds,
    )


def _bars(
    changes: Sequence[LayerChange], before: list[float], after: list[float], unit: str
) -> markupsafe.Markup:
    places = range(len(changes))
    with drawing(7.2, 2.9) as (figure, axes):
        axis = axes[0]
        axis.bar(places, before, width=0.9, color=BEFORE, label="before")
        axis.bar(places, after, width=0.9, color=COLOURS[0], label="after")
        axis.set_ylabel(unit.split(" (")[0])
        axis.set_xlim(-0.7, len(changes) - 0.3)
        axis.grid(visible=False, axis="x")
        axis.legend(frameon=False, loc="upper right")
        _name_stages(axis, [each.stage for each in changes])
        return plot_svg(figure, f"Bars: {unit} of each layer before and after pruning")


def _name_stages(axis: Axes, stages: Sequence[str]) -> None:
    """Name runs of layers of one part under the axis, with a line between two parts."""
    middles, names, start = [], [], 0
    for stage, group in groupby(stages):
        count = len(list(group))
        middles.append(start + (count - 1) / 2)
        names.append(_readable(stage))
        start += count
        if start < len(stages):
            axis.axvline(start - 0.5, color=INK, alpha=0.15, linewidth=0.6)
    axis.set_xticks(middles, names, rotation=90, fontsize=8)
    axis.tick_params(axis="x", length=0)


def _readable(stage: str) -> str:
    """ "backbone.stages.2" -> "stage 3", "heads.0" -> "head 1"."""
    last = stage.rpartition(".")[2]
    if stage.startswith("backbone.stages."):
        return f"stage {int(last) + 1}"
    return f"head {int(last) + 1}" if stage.startswith("heads.") else last

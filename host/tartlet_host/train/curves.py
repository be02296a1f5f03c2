"""Pictures of what the checks before a training found, as PNG."""

from __future__ import annotations

import io

import matplotlib as mpl
from matplotlib.figure import Figure

from tartlet_host.plotting import COLOURS, INK, drawing
from tartlet_host.train.overfit import NEAR_ZERO, Overfit
from tartlet_host.train.rate_finder import RateCurve, smooth

_DOTS_PER_INCH = 140


def rate_curve(found: RateCurve, current: float) -> bytes:
    """Loss against learning rate, with the suggestion and the rate that the recipe has."""
    with drawing(7.2, 4.0) as (figure, axes):
        axis = axes[0]
        axis.plot(found.rates, found.losses, color=COLOURS[0], alpha=0.25, linewidth=0.8)
        axis.plot(found.rates, found.smoothed, color=COLOURS[0], linewidth=2.0)
        axis.set_xscale("log")
        # One wild step at the far end must not flatten the rest.
        top = 1.3 * max(found.smoothed[0], sorted(found.smoothed)[int(0.9 * len(found.smoothed))])
        axis.set_ylim(0, top)
        axis.set(xlabel="learning rate", ylabel="loss, smoothed")
        marks = [(current, COLOURS[4], f"recipe\n{current:g}", "--", 0.97)]
        if found.suggestion is not None:
            text = f"suggestion\n{found.suggestion:g}"
            marks.append((found.suggestion, COLOURS[2], text, "-", 0.80))
        for rate, colour, text, dashes, height in marks:
            axis.axvline(rate, color=colour, linestyle=dashes, linewidth=1.6)
            axis.annotate(
                text,
                (rate, height),
                xycoords=("data", "axes fraction"),
                xytext=(6, 0),
                textcoords="offset points",
                va="top",
                color=INK,
                fontsize=9,
            )
        axis.set_title("The rate at which the loss falls fastest", loc="left", fontsize=11)
        return _png(figure)


def overfit_curve(found: Overfit) -> bytes:
    """The loss on the one batch, on a logarithmic scale, and the line it should get below."""
    with drawing(7.2, 4.0) as (figure, axes):
        axis = axes[0]
        steps = range(1, len(found.losses) + 1)
        axis.plot(steps, found.losses, color=COLOURS[0], alpha=0.3, linewidth=0.8)
        axis.plot(steps, smooth(found.losses), color=COLOURS[0], linewidth=2.0)
        limit = NEAR_ZERO * found.losses[0]
        axis.axhline(limit, color=COLOURS[1], linestyle="--", linewidth=1.4)
        axis.annotate(
            f"near zero: {NEAR_ZERO:.0%} of the first loss",
            (len(found.losses), limit),
            xytext=(0, 5),
            textcoords="offset points",
            ha="right",
            color=INK,
            fontsize=9,
        )
        axis.set_yscale("log")
        for place in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
            place(mpl.ticker.FormatStrFormatter("%g"))
        axis.set(xlabel="step", ylabel="loss of the batch")
        verdict = "passed" if found.passed else "not passed"
        axis.set_title(
            f"One batch by heart: {verdict}. mAP50 {found.map50:.3f}, "
            f"{found.left:.1%} of the loss left",
            loc="left",
            fontsize=11,
        )
        return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH, facecolor="white")
    return buffer.getvalue()

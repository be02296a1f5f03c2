"""What the demo's report says of the device and of the footage."""

from __future__ import annotations

from collections.abc import Sequence

from tartlet_host.demo.path import Watched
from tartlet_host.demo.scene import Scene
from tartlet_host.remote.rollout import PushReport
from tartlet_host.run.report import Figure
from tartlet_host.run.summary import Transfer


def source(scene: Scene, truth: str) -> str:
    """One line on the pictures."""
    return (
        f"{scene.footage.name}: frames {_range(scene.train)} teach, {_range(scene.test)} test "
        f"({truth})"
    )


def device_figures(
    transfers: Sequence[Transfer], pushed: PushReport, watched: Watched
) -> list[Figure]:
    """What went over SSH, and what the device said of the model."""
    figures = [
        Figure(
            each.name,
            f"{each.seconds:.2f} s",
            f"{each.bytes_sent / 1e3:.1f} KB sent, {each.bytes_received / 1e3:.1f} KB received",
        )
        for each in transfers
    ]
    figures.append(
        Figure(
            "on top of the device's own time",
            f"{watched.added_ms:.1f} ms",
            "of a prediction, for the way there and back, median",
        )
    )
    if pushed.self_test is not None:
        test = pushed.self_test
        figures.append(
            Figure(
                "self-test on the device",
                f"{test.detections} of {test.detections}",
                f"golden detections within {test.box_difference_px:.2f} px and "
                f"{test.score_difference:.3f} of score",
            )
        )
    return figures


def _range(frames: tuple[int, int]) -> str:
    return f"{frames[0]}-{frames[1]}"

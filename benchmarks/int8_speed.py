"""How much faster the pruned int8 model is than its float parent, both on LiteRT, one thread."""

from __future__ import annotations

from benchmarks.models import models, picture
from benchmarks.row import Row
from tartlet_host.evaluate import latency
from tartlet_host.evaluate.predictor import open_predictor

GOAL = 5.0
_RUNS = 200


def run() -> list[Row]:
    """One row; ``ratio`` is parent over pruned, ``goal`` the least it must be."""
    rgb = picture()
    with models() as compared:
        paths = {"parent": compared.parent, "pruned": compared.pruned("litert")}
        times = latency.measure(
            {
                name: latency.inference(open_predictor(path, labels=compared.labels), rgb)
                for name, path in paths.items()
            },
            runs=_RUNS,
        )
    ratio = times["parent"].p50 / times["pruned"].p50
    return [
        Row(
            name=f"int8 pruned against its fp32 parent, LiteRT, one thread ({compared.origin})",
            ours=times["pruned"].p50,
            rival=times["parent"].p50,
            ratio=ratio,
            goal=GOAL,
            holds=ratio >= GOAL,
            unit="ms",
        )
    ]

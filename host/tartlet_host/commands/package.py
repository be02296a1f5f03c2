"""``tartlet package``: a model file becomes a bundle that a device accepts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tartlet_host.commands.options import data_option, json_option, print_json, say, size
from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_shared.manifest import Requirements


@click.command()
@click.argument("model", required=False, type=click.Path(path_type=Path))
@data_option("Pictures to choose golden ones from, and the labels")
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    help="Labelled pictures: each class's score threshold is set where F1 is best on them, and "
    "the figures go into the manifest.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Score from which an object counts as seen.  [default: see --validation, else 0.3]",
)
@click.option("--name", help="Of the model, for people.  [default: the file's]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder to write.  [default: bundle beside MODEL]",
)
@click.option(
    "--release",
    type=click.IntRange(1, 1 << 53),
    help="Number that grows from bundle to bundle.  [default: the time, as 20261231235959]",
)
@click.option(
    "--architecture",
    "architectures",
    multiple=True,
    metavar="NAME",
    help="Only devices of this processor take it, as `uname -m` names it; may be repeated.",
)
@click.option(
    "--runtime",
    "runtimes",
    multiple=True,
    metavar="NAME=VERSION",
    help="Only devices with this inference library take it, onnxruntime=1.20 for example, or "
    "a newer one; may be repeated, one is enough.",
)
@click.option("--key", help="Sign with this key.  [default: the only one there is]")
@json_option
def command(
    model: Path | None,
    dataset: Path,
    validation: Path | None,
    threshold: float | None,
    name: str | None,
    output: Path | None,
    release: int | None,
    architectures: tuple[str, ...],
    runtimes: tuple[str, ...],
    key: str | None,
    as_json: bool,
) -> None:
    """Seal MODEL, a .tflite or .onnx file, and golden pictures into a bundle.

    Without MODEL, the newest run's pruned-int8.tflite. Golden pictures are some from the data set
    in which the model sees something beyond doubt; a device lets the bundle serve only when its
    own runtime sees the same there. All files are fixed by one digest, which is signed if there is
    a key (`tartlet key new`).

    \b
    Examples:
      tartlet package --data data
      tartlet package runs/latest/pruned-int8.onnx --data data --validation validation.json
    \b
    Next:  tartlet push runs/latest/bundle
    \b
    JSON: {bundle, digest, name, runtime, release, signed_by, bytes, files, golden, threshold,
           thresholds: {label: score}}
    """
    from tartlet_host import golden_pictures, package, runs
    from tartlet_host.commands.key import packaging_key, sign_manifest
    from tartlet_host.dataset.fingerprint import fingerprint
    from tartlet_host.dataset.read import read_dataset
    from tartlet_host.evaluate import mean_average_precision as precision
    from tartlet_host.evaluate.predictor import open_predictor
    from tartlet_host.progress import bar

    requires = _requirements(architectures, runtimes)
    signer = packaging_key(key)
    if model is None:
        model = runs.latest("pruned-int8.tflite")
    data = read_dataset(dataset)
    figures: dict[str, float] = {}
    thresholds: float | tuple[float, ...] | None = threshold
    if validation is not None:
        held_out = read_dataset(validation)
        probe = open_predictor(model, labels=data.labels)
        aligned = precision.align(held_out, probe.labels)
        with bar("Finding the best threshold", quiet=as_json) as report:
            found = precision.predict_all(probe, aligned, progress=report)
        metrics = precision.measure(aligned, found)
        figures = metrics.figures()
        thresholds = package.score_thresholds(metrics) if threshold is None else threshold
    predictor = open_predictor(model, labels=data.labels, score_threshold=thresholds)
    with bar("Choosing golden pictures", quiet=as_json) as report:
        golden = golden_pictures.choose(predictor, data, progress=report)
    built = package.build_bundle(
        predictor,
        output if output is not None else model.parent / "bundle",
        name=name or model.stem,
        golden=golden,
        metrics=figures,
        provenance={
            **package.provenance(predictor),
            "dataset": fingerprint(data),
        },
        release=release,
        requires=requires,
        sign=None if signer is None else lambda content: sign_manifest(signer, content),
    )
    manifest = built.manifest
    total = sum(entry.size for entry in manifest.files)
    if as_json:
        print_json(
            {
                "bundle": str(built.folder),
                "digest": built.digest,
                "name": manifest.name,
                "runtime": manifest.runtime,
                "release": manifest.released,
                "signed_by": "" if signer is None else signer.public.id,
                "bytes": total,
                "files": len(manifest.files),
                "golden": len(manifest.golden),
                "threshold": manifest.decoding.score_threshold,
                "thresholds": dict(zip(manifest.labels, predictor.thresholds, strict=True)),
            }
        )
        return
    limits = ", ".join(
        f"{label} {limit:.2f}"
        for label, limit in zip(manifest.labels, manifest.decoding.class_thresholds, strict=False)
    )
    expected = sum(len(each.detections) for each in manifest.golden)
    click.echo(f"{built.folder}  {size(total)}  {built.digest[:12]}")
    click.echo(
        f"  {manifest.name} for {manifest.runtime}, score threshold "
        f"{limits or format(manifest.decoding.score_threshold, '.2f')}, {expected} objects in "
        f"{len(manifest.golden)} golden pictures"
    )
    signed = "not signed" if signer is None else f"signed by {signer.public.name}"
    click.echo(f"  release {manifest.released}, {signed}")
    say(f"next: tartlet push {built.folder}")


def _requirements(architectures: tuple[str, ...], runtimes: tuple[str, ...]) -> Requirements | None:
    import msgspec

    from tartlet_shared.manifest import Requirements

    if not architectures and not runtimes:
        return None
    pairs = [each.partition("=") for each in runtimes]
    try:
        return msgspec.convert(
            {
                "architectures": architectures,
                "runtimes": {library: version for library, _, version in pairs},
            },
            Requirements,
        )
    except msgspec.ValidationError as error:
        raise errors.UsageError(
            f"{error}", where="--runtime", hint="for example --runtime onnxruntime=1.20"
        ) from error

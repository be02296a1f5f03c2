"""Model files on their way to a device that shall time them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tartlet_host.remote import rollout
from tartlet_host.remote.rollout import Upload, Uploader
from tartlet_shared import errors
from tartlet_shared.benchmark_messages import BenchmarkModel
from tartlet_shared.client import Client
from tartlet_shared.manifest import FileEntry

MOST_MODELS = 16  # of one request, see the protocol


class Conversation(Protocol):
    """An open session; `tartlet_host.remote.session.Session` is one."""

    @property
    def client(self) -> Client: ...

    @property
    def connection(self) -> Uploader: ...


@dataclass(frozen=True)
class ModelFile:
    """A model file here.

    Attributes:
        path: the file.
        runtime: "litert" or "onnx".
    """

    path: Path
    runtime: str


def send(
    session: Conversation,
    models: Sequence[ModelFile],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[BenchmarkModel, ...]:
    """Send models to a device, but for those that it has in a bundle.

    Args:
        session: an open conversation with the device.
        models: at most `MOST_MODELS`.
        progress: called with bytes sent and bytes to send.

    Returns:
        What to give to `Client.benchmark`, in the order of ``models``. That removes the files from
        the device; without it the device does so after a day.

    Raises:
        UsageError: too many models, or one that cannot be read.
        StorageFull: they do not fit on the device.
        ConnectionLost: the connection ended.
    """
    if len(models) > MOST_MODELS:
        raise errors.UsageError(
            f"{len(models)} models; a device times {MOST_MODELS} at a time",
            hint="times from separate runs compare badly: take fewer candidates",
        )
    asked = tuple(
        BenchmarkModel(file=_entry(each.path, number), runtime=each.runtime)
        for number, each in enumerate(models)
    )
    wanted = session.client.offer_benchmark(asked)
    here = {
        each.file.sha256: Upload(model.path, wanted.folder, each.file.sha256, each.file.size)
        for each, model in zip(asked, models, strict=True)
    }
    unknown = [digest for digest in wanted.files if digest not in here]
    if unknown:
        raise errors.MessageMalformed(f"the device wants {unknown[0][:12]}, which was not offered")
    uploads = [here[digest] for digest in wanted.files]
    rollout.send(uploads, session.client, session.connection, progress=progress)
    return asked


def _entry(path: Path, number: int) -> FileEntry:
    """A name of our own: the file's may have letters that no bundle may have."""
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except OSError as error:
        raise errors.UsageError(
            f"cannot read the model: {error.strerror}", where=str(path)
        ) from error
    return FileEntry(name=f"{number}{path.suffix}", size=size, sha256=digest)

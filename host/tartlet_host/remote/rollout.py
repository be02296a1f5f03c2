"""Pushing a bundle: ask what the device has, decide what to do, do it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tartlet_host.remote.client import Client
from tartlet_shared import bundle as bundles
from tartlet_shared import errors
from tartlet_shared.bundle import Bundle
from tartlet_shared.manifest import FileEntry
from tartlet_shared.messages import Activated, Have, SelfTest, Wanted


class Uploader(Protocol):
    """Sends files to the device; `tartlet_host.remote.ssh.Connection` is one."""

    @property
    def bytes_sent(self) -> int:
        """Bytes that left this machine so far."""

    def put(
        self, source: Path, destination: str, *, progress: Callable[[int], None] | None = None
    ) -> int:
        """Upload a file under a temporary name and rename it; ``OSError`` where it cannot."""


@dataclass(frozen=True)
class Upload:
    """Send one file of the bundle.

    Attributes:
        source: the file here.
        destination: absolute path on the device; its name is the SHA-256.
        size: bytes.
    """

    source: Path
    destination: str
    size: int


@dataclass(frozen=True)
class Plan:
    """What a push would do.

    Attributes:
        digest, name: the bundle.
        uploads: files to send, in this order.
        skipped: files of the bundle that the device has already.
        store: whether the device must put the bundle together.
        activate: whether it is to be tested and serve.
        serves: whether it is the one that serves already.
    """

    digest: str
    name: str
    uploads: tuple[Upload, ...]
    skipped: tuple[FileEntry, ...]
    store: bool
    activate: bool
    serves: bool

    @property
    def upload_bytes(self) -> int:
        """Size of all uploads."""
        return sum(upload.size for upload in self.uploads)

    @property
    def nothing_to_do(self) -> bool:
        """Whether the device is already as it should be."""
        return not (self.uploads or self.store or self.activate)


@dataclass(frozen=True)
class PushReport:
    """What a push did.

    Attributes:
        digest, name: the bundle.
        bytes_sent: everything that left this machine, the SSH handshake included.
        files_sent, files_skipped: counts.
        seconds: duration of each step that took place, by its name.
        serves: whether the bundle serves now.
        previous: digest of the model that a rollback returns to, where the device told it.
        self_test: the golden pictures on the device; None where nothing had to be activated.
    """

    digest: str
    name: str
    bytes_sent: int
    files_sent: int
    files_skipped: int
    seconds: Mapping[str, float]
    serves: bool
    previous: str | None
    self_test: SelfTest | None


def facts(client: Client, bundle: Bundle) -> tuple[Have, Wanted | None]:
    """Ask the device about a bundle; the second is None where it has all of it.

    Raises:
        StorageFull: it would not fit.
    """
    have = client.have(bundle.digest)
    if have.stored:
        return have, None
    return have, client.offer(bundles.read_manifest(bundle.folder))


def plan(bundle: Bundle, have: Have, wanted: Wanted | None, *, activate: bool = True) -> Plan:
    """Decide what to do; pure.

    Args:
        bundle: to push.
        have, wanted: what `facts` found.
        activate: let it serve in the end.

    Raises:
        MessageMalformed: the device wants something that is not in the bundle.
    """
    entries = {entry.sha256: entry for entry in reversed(bundle.manifest.files)}
    uploads: dict[str, Upload] = {}
    for entry in wanted.files if wanted is not None else ():
        if wanted is None or entry.sha256 not in entries:
            raise errors.MessageMalformed(
                f"the device wants {entry.name!r}, which is not in the bundle"
            )
        # Two files with the same content are sent once.
        uploads[entry.sha256] = Upload(
            source=bundle.folder / entries[entry.sha256].name,
            destination=f"{wanted.folder}/{entry.sha256}",
            size=entries[entry.sha256].size,
        )
    return Plan(
        digest=bundle.digest,
        name=bundle.manifest.name,
        uploads=tuple(uploads.values()),
        skipped=tuple(entry for entry in bundle.manifest.files if entry.sha256 not in uploads),
        store=not have.stored,
        activate=activate and not have.active,
        serves=have.active,
    )


def apply(
    wanted: Plan,
    client: Client,
    uploader: Uploader,
    *,
    progress: Callable[[int, int], None] | None = None,
    stage: Callable[[str], None] | None = None,
) -> PushReport:
    """Do what the plan says. Until its last step the device serves what it served before.

    Args:
        wanted: from `plan`.
        client: an open conversation with the device.
        uploader: an open connection to the same device.
        progress: called with the bytes uploaded and the bytes of all uploads.
        stage: called with the name of each step as it begins.

    Raises:
        ConnectionLost, StorageFull, BundleCorrupt, SelfTestFailed, RuntimeUnavailable: the device
            still serves what it served before.
    """
    seconds: dict[str, float] = {}
    activated: Activated | None = None
    steps: list[tuple[str, Callable[[], object]]] = []
    if wanted.uploads:
        steps.append(("upload", lambda: send(wanted.uploads, client, uploader, progress)))
    if wanted.store:
        steps.append(("store", lambda: client.accept(wanted.digest)))
    if wanted.activate:
        steps.append(("activate", lambda: client.activate(wanted.digest)))
    for name, step in steps:
        if stage is not None:
            stage(name)
        started = time.monotonic()
        result = step()
        seconds[name] = time.monotonic() - started
        if isinstance(result, Activated):
            activated = result
    return PushReport(
        digest=wanted.digest,
        name=wanted.name,
        bytes_sent=uploader.bytes_sent,
        files_sent=len(wanted.uploads),
        files_skipped=len(wanted.skipped),
        seconds=seconds,
        serves=wanted.serves or activated is not None,
        previous=activated.previous if activated else None,
        self_test=activated.self_test if activated else None,
    )


def send(
    uploads: Sequence[Upload],
    client: Client,
    uploader: Uploader,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Upload files one after the other; ``progress``: bytes sent, and bytes in all.

    Raises:
        StorageFull, DeviceError: the device could not write one.
        ConnectionLost: the connection ended.
    """
    done, total = 0, sum(upload.size for upload in uploads)
    for upload in uploads:

        def report(sent: int, before: int = done) -> None:
            if progress is not None:
                progress(before + sent, total)

        try:
            uploader.put(upload.source, upload.destination, progress=report)
        except OSError as error:
            raise _upload_failed(upload, client, error) from error
        done += upload.size


def _upload_failed(upload: Upload, client: Client, error: OSError) -> errors.TartletError:
    """SFTP says only "Failure" when a disk is full, so ask the daemon."""
    free = client.status().free_bytes
    if free < upload.size:
        return errors.StorageFull(
            f"{upload.source.name} has {upload.size} bytes, {free} are free; nothing was changed",
            where=upload.destination,
            hint="make room on the device, then push again",
        )
    return errors.DeviceError(
        f"{upload.source.name} cannot be written: {error}; nothing was changed",
        where=upload.destination,
        hint="may your user write there? setup_pi.sh puts it into the group 'tartlet'; "
        "log in again afterwards",
    )

"""Pushing a bundle: ask what the device has, decide what to do, do it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tartlet_host.remote import resume
from tartlet_host.remote.pace import Pace
from tartlet_host.remote.sftp import Outgoing, SftpError
from tartlet_shared import bundle as bundles
from tartlet_shared import errors, signature
from tartlet_shared.bundle import Bundle
from tartlet_shared.client import Client
from tartlet_shared.manifest import FileEntry
from tartlet_shared.push_messages import Activated, Arrived, Have, SelfTest, Wanted


class Uploader(Protocol):
    """Sends files to the device; `tartlet_host.remote.ssh.Connection` is one."""

    @property
    def bytes_sent(self) -> int:
        """Bytes that left this machine so far."""

    def send(
        self,
        files: Sequence[Outgoing],
        *,
        pace: Pace | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Upload files; see `tartlet_host.remote.sftp.Sftp.send`."""


@dataclass(frozen=True)
class Upload:
    """Send one file of the bundle.

    Attributes:
        source: the file here.
        folder: of uploads, on the device.
        sha256, size: of the whole file; bytes.
        arrived: beginnings of it that the device has.
    """

    source: Path
    folder: str
    sha256: str
    size: int
    arrived: tuple[Arrived, ...] = ()

    @property
    def destination(self) -> str:
        """Absolute path on the device."""
        return f"{self.folder}/{self.sha256}"


@dataclass(frozen=True)
class Terms:
    """What a push shall end in.

    Attributes:
        activate: let the bundle serve in the end.
        confirm_s: seconds for which it must be healthy then before it is confirmed; 0 for none.
        latency_ms: an inference may take so long meanwhile, in the median; None for any time.
        allow_older: than the release that was confirmed last.
        sign: gives the signature's record for a device that said this; by default the one that
            lies beside the manifest.
    """

    activate: bool = True
    confirm_s: float = 0.0
    latency_ms: float | None = None
    allow_older: bool = False
    sign: Callable[[Have], bytes] | None = None


_USUAL = Terms()


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
        terms: under which it serves.
    """

    digest: str
    name: str
    uploads: tuple[Upload, ...]
    skipped: tuple[FileEntry, ...]
    store: bool
    activate: bool
    serves: bool
    terms: Terms

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
        confirmed: whether it was confirmed at once; else `confirming` tells.
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
    confirmed: bool


def facts(client: Client, bundle: Bundle, terms: Terms = _USUAL) -> tuple[Have, Wanted | None]:
    """Ask the device about a bundle; the second is None where it has all of it.

    Raises:
        StorageFull: it would not fit.
        BundleUntrusted, ReleaseOlder: the device would not take it.
    """
    have = client.have(bundle.digest)
    packaged = bundles.read_signature(bundle.folder)
    record = packaged if terms.sign is None else terms.sign(have)
    signed = not record or signature.decode(record).key == have.signed_by
    if have.stored and signed:
        return have, None
    content = bundles.read_manifest(bundle.folder, expected_digest=bundle.digest)
    # One that shall not serve yet may be of any age.
    allow_older = terms.allow_older or not terms.activate
    return have, client.offer(content, record, allow_older=allow_older)


def plan(bundle: Bundle, have: Have, wanted: Wanted | None, terms: Terms = _USUAL) -> Plan:
    """Decide what to do; pure.

    Args:
        bundle: to push.
        have, wanted: what `facts` found.
        terms: what it shall end in.

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
            folder=wanted.folder,
            sha256=entry.sha256,
            size=entries[entry.sha256].size,
            arrived=tuple(each for each in wanted.arrived if each.name.startswith(entry.sha256)),
        )
    return Plan(
        digest=bundle.digest,
        name=bundle.manifest.name,
        uploads=tuple(uploads.values()),
        skipped=tuple(entry for entry in bundle.manifest.files if entry.sha256 not in uploads),
        store=wanted is not None,
        activate=terms.activate and not have.active,
        serves=have.active,
        terms=terms,
    )


def apply(
    wanted: Plan,
    client: Client,
    uploader: Uploader,
    *,
    pace: Pace | None = None,
    progress: Callable[[int, int], None] | None = None,
    stage: Callable[[str], None] | None = None,
) -> PushReport:
    """Do what the plan says. Until its last step the device serves what it served before.

    Args:
        wanted: from `plan`.
        client: an open conversation with the device.
        uploader: an open connection to the same device.
        pace: how fast to upload at most.
        progress: called with the bytes uploaded and the bytes of all uploads.
        stage: called with the name of each step as it begins.

    Raises:
        ConnectionLost, StorageFull, BundleCorrupt, BundleUntrusted, ReleaseOlder, SelfTestFailed,
            RuntimeUnavailable: the device still serves what it served before.
    """
    seconds: dict[str, float] = {}
    activated: Activated | None = None
    steps: list[tuple[str, Callable[[], object]]] = []
    if wanted.uploads:
        steps.append(("upload", lambda: send(wanted.uploads, client, uploader, pace, progress)))
    if wanted.store:
        steps.append(("store", lambda: client.accept(wanted.digest)))
    if wanted.activate:
        steps.append(("activate", lambda: _activated(wanted, client)))
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
        confirmed=activated is not None and activated.confirmed,
    )


def _activated(wanted: Plan, client: Client) -> Activated:
    terms = wanted.terms
    return client.activate(
        wanted.digest,
        confirm_s=terms.confirm_s,
        latency_ms=terms.latency_ms,
        allow_older=terms.allow_older,
    )


def send(
    uploads: Sequence[Upload],
    client: Client,
    uploader: Uploader,
    pace: Pace | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Upload files, each from where it broke off; ``progress``: bytes there, and bytes in all.

    Raises:
        StorageFull, DeviceError: the device could not write one.
        ConnectionLost: the connection ended. What arrived stays there, for another time.
    """
    owner = resume.laptop()
    files = [
        resume.outgoing(each.source, each.folder, each.sha256, each.arrived, owner)
        for each in uploads
    ]
    there, total = sum(each.start for each in files), sum(each.size for each in uploads)

    def report(sent: int) -> None:
        if progress is not None:
            progress(there + sent, total)

    try:
        uploader.send(files, pace=pace, progress=report)
    except SftpError as error:
        failed = next(each for each in uploads if each.destination == error.filename)
        raise _upload_failed(failed, client, error) from error


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

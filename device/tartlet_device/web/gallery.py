"""Events that were kept: a list, their pictures and their clips."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

import msgspec

from tartlet_device.events.audience import EventKeeper
from tartlet_device.web import asking, byte_range, exchange
from tartlet_device.web.exchange import FilePart, Refused, Request, Response
from tartlet_shared.event_record import EventQuery, EventRecord, Part

A_PAGE, MOST = 24, 200
"""Events that are listed at once."""
_FILES: dict[str, tuple[Part, str, str, str]] = {
    "picture.jpg": ("picture", "pictures", ".jpg", "image/jpeg"),
    "picture.json": ("picture", "pictures", ".json", exchange.JSON),
    "clip.mp4": ("clip", "clips", ".mp4", "video/mp4"),
}


class Gallery:
    """Reads what the recorder keeps."""

    def __init__(self, keeper: EventKeeper) -> None:
        self._keeper = keeper

    def listed(self, request: Request) -> Response:
        """A page of events, newest first; ``next`` is what to give as ``after`` for the next."""
        query = _query(request)
        recorder = self._keeper.recorder
        if recorder is None:
            return exchange.as_json({"enabled": False, "events": [], "next": None, "faults": {}})
        found = recorder.log.listed(msgspec.structs.replace(query, limit=query.limit + 1))
        shown = found[: query.limit]
        return exchange.as_json(
            {
                "enabled": True,
                "events": [self._as_data(record) for record in shown],
                "next": shown[-1].sequence if len(found) > len(shown) else None,
                "faults": recorder.faults,
            }
        )

    def file(self, request: Request, sequence: str, name: str) -> Response:
        """The picture or clip of an event, or what is seen in the picture; ranges too."""
        part, folder, suffix, content_type = _FILES[name]
        recorder = self._keeper.recorder
        after = int(sequence) - 1
        found = recorder.log.listed(EventQuery(after=after, limit=1)) if recorder else []
        stem = getattr(found[0], part) if found and found[0].sequence == after + 1 else None
        if stem is None or part in found[0].removed:
            raise _not_found(f"event {sequence} has no {part}")
        return _of_file(self._path(folder, stem + suffix), content_type, request)

    def _path(self, folder: str, name: str) -> Path:
        # Names come from the log, whose IDs were checked; still nothing may lead out of the folder.
        return self._keeper.settings.folder_path / folder / Path(name).name

    def _as_data(self, record: EventRecord) -> dict[str, Any]:
        """The record, with addresses of those of its files that are there in place of names.

        A clip has another name while it is written.
        """
        data: dict[str, Any] = msgspec.to_builtins(record)
        for name in ("picture.jpg", "clip.mp4"):
            part, folder, suffix, _ = _FILES[name]
            stem = data[part]
            there = stem is not None and part not in record.removed
            there = there and self._path(folder, stem + suffix).exists()
            data[part] = f"/events/{record.sequence}/{name}" if there else None
        return data


def _of_file(path: Path, content_type: str, request: Request) -> Response:
    try:
        found = path.stat()
    except OSError as error:
        raise _not_found("the file is gone, or still being written") from error
    size = found.st_size
    changed = f'"{found.st_mtime_ns:x}-{size:x}"'
    headers = [
        ("Accept-Ranges", "bytes"),
        ("ETag", changed),
        ("Last-Modified", formatdate(found.st_mtime, usegmt=True)),
        ("Cache-Control", "private, no-cache"),
    ]
    if request.headers.get("if-none-match") == changed:
        return Response(HTTPStatus.NOT_MODIFIED, content_type, b"", tuple(headers))
    wanted = request.headers.get("range")
    if request.headers.get("if-range", changed) != changed:
        wanted = None
    try:
        part = byte_range.of(wanted, size)
    except byte_range.Unsatisfiable as error:
        raise Refused(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "range",
            f"the file has {size} bytes",
            headers=(("Content-Range", f"bytes */{size}"),),
        ) from error
    if part is None:
        return Response(HTTPStatus.OK, content_type, FilePart(path, 0, size), tuple(headers))
    start, length = part
    headers.append(("Content-Range", f"bytes {start}-{start + length - 1}/{size}"))
    return Response(
        HTTPStatus.PARTIAL_CONTENT, content_type, FilePart(path, start, length), tuple(headers)
    )


def _query(request: Request) -> EventQuery:
    given = request.query
    order: Literal["oldest", "newest"] = "oldest" if given.get("order") == "oldest" else "newest"
    after = asking.number(request, "after", 0, 10**15)
    limit = asking.number(request, "limit", 1, MOST)
    return EventQuery(
        since_s=asking.number(request, "since", 0, 10**12),
        until_s=asking.number(request, "until", 0, 10**12),
        label=given.get("label") or None,
        rule=given.get("rule") or None,
        zone=given.get("zone") or None,
        after=None if after is None else int(after),
        order=order,
        limit=A_PAGE if limit is None else int(limit),
    )


def _not_found(what: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, "not-found", what)

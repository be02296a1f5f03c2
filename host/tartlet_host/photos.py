"""Photos from a device as files: what was seen in them goes into the Exif and beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tartlet_host.files import write_atomically
from tartlet_shared.picture_messages import Photo, unpack


def write(path: Path, photo: Photo, *, boxes: bool = False, quality: int = 95) -> dict[str, Any]:
    """Write a photo, and beside it a .json file if a model looked at it.

    Args:
        path: of the JPEG; replaced if it is there.
        photo: from the device.
        boxes: draw what was seen, which encodes the photo again.
        quality: of the JPEG then.

    Returns:
        What the .json file says, with the file's name and size.

    Raises:
        OSError: the disk does not take it. A file that is there is whole.
    """
    seen = _seen(photo)
    jpeg = _drawn(photo, quality) if boxes and photo.seen is not None else photo.jpeg
    if seen is not None:
        text = json.dumps(seen, ensure_ascii=False)
        jpeg = _commented(jpeg, text)
        write_atomically(path.with_suffix(".json"), text + "\n")
    elif path.exists() and _is_ours(path.with_suffix(".json")):
        path.with_suffix(".json").unlink()  # of the photo that is replaced
    write_atomically(path, jpeg)
    frame = {"number": photo.frame.number, "monotonic_ns": photo.frame.monotonic_ns}
    data = {"file": str(path), "bytes": len(jpeg), "width": photo.width, "height": photo.height}
    return {**data, "frame": frame, **(seen or {})}


def free_name(folder: Path, stem: str) -> Path:
    """A JPEG of that name, or with a number behind it, that is not there yet."""
    path, again = folder / f"{stem}.jpg", 2
    while path.exists():
        # Behind the first in alphabetical order, as "-" would not be.
        path, again = folder / f"{stem}_{again}.jpg", again + 1
    return path


def _seen(photo: Photo) -> dict[str, Any] | None:
    seen = photo.seen
    if seen is None:
        return None
    return {
        "model": seen.model,
        "width": photo.width,
        "height": photo.height,
        "frame": {"number": photo.frame.number, "monotonic_ns": photo.frame.monotonic_ns},
        "time_s": photo.time_s,
        "clock_synchronized": photo.clock_synchronized,
        "detections": [
            {
                "label": seen.labels[class_id] if class_id < len(seen.labels) else str(class_id),
                "class_id": class_id,
                "score": round(score, 4),
                "box": [round(side, 1) for side in box],
            }
            for box, score, class_id in unpack(seen.detections)
        ],
    }


def _is_ours(path: Path) -> bool:
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(said, dict) and {"model", "frame", "detections"} <= said.keys()


def _commented(jpeg: bytes, text: str) -> bytes:
    from tartlet_device.events import exif
    from tartlet_device.events.picture import ascii_json

    comment = ascii_json(text.encode())
    return exif.with_comment(jpeg, comment) if len(comment) + 8 <= exif.MAX_COMMENT else jpeg


def _drawn(photo: Photo, quality: int) -> bytes:
    from tartlet_device.pictures import decode_picture, encode_jpeg
    from tartlet_host import annotate

    if photo.seen is None:
        return photo.jpeg
    picture = decode_picture(photo.jpeg, where="the photo")
    drawn = annotate.draw(picture, unpack(photo.seen.detections), photo.seen.labels)
    return encode_jpeg(drawn, quality)

"""A data set's identity: what its labels say of which pictures, whatever file they came from."""

from __future__ import annotations

import hashlib

from tartlet_host.dataset.sample import Dataset, file_name


def fingerprint(dataset: Dataset) -> str:
    """SHA-256, in hexadecimal, of the classes, the pictures' names and sizes, and the boxes.

    The folders around the pictures and the pixels do not count.
    """
    digest = hashlib.sha256(repr(dataset.labels).encode())
    for sample in dataset.samples:
        name, size = file_name(sample.picture), (sample.width, sample.height)
        digest.update(repr((name, size, sample.labelled, len(sample.boxes))).encode())
        digest.update(sample.boxes.astype("<f4").tobytes())
        digest.update(sample.class_ids.astype("<i8").tobytes())
        digest.update(sample.ignore.tobytes())
    return digest.hexdigest()

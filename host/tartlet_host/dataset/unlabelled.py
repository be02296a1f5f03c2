"""Pictures that nobody labelled, beside those that somebody did."""

from __future__ import annotations

from tartlet_host.dataset.sample import Dataset, without_boxes


def join(dataset: Dataset, unlabelled: Dataset) -> Dataset:
    """The data set with more pictures, of which only a teacher knows what is in them.

    Pictures that the data set has already are left out, and labels of the others are forgotten.
    """
    known = {sample.picture for sample in dataset.samples}
    added = tuple(
        without_boxes(sample.picture, sample.width, sample.height, labelled=False)
        for sample in unlabelled.samples
        if sample.picture not in known
    )
    return Dataset(dataset.labels, (*dataset.samples, *added))

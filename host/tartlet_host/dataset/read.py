"""Any data set, whatever its format: `read_dataset` looks and calls the reader that fits."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from tartlet_host.dataset import coco, cvat, labelme, video, voc, yolo
from tartlet_host.dataset.formats import Format, json_format, pick_part, recognise, xml_format
from tartlet_host.dataset.gather import Problem, fail
from tartlet_host.dataset.header import PICTURE_SUFFIXES
from tartlet_host.dataset.listing import NOT_DECODED, Listing, list_files, suffix
from tartlet_host.dataset.pictures import header_of
from tartlet_host.dataset.sample import Dataset, Sample, VideoFrame, without_boxes
from tartlet_host.dataset.source import FolderSource, Source, open_source
from tartlet_host.dataset.yolo_parts import beside_images, find_part, has_labels, pictures_of
from tartlet_host.dataset.yolo_yaml import read_yaml
from tartlet_shared import errors

__all__ = ["Problem", "fail", "read_dataset"]

_log = logging.getLogger(__name__)

_FORMATS = "known are COCO (.json), Pascal VOC and CVAT (.xml), YOLO (.txt) and LabelMe (.json)"


def read_dataset(
    path: Path,
    *,
    labels: tuple[str, ...] | None = None,
    unlabelled: bool = False,
    problem: Problem = fail,
) -> Dataset:
    """Read a data set of any known format; docs/data.md describes them.

    Args:
        path: a folder, a plain .tar archive, a label file (COCO's .json, CVAT's .xml, YOLO's
            data.yaml) or a video. ``PATH#train`` is one part of a data set that names parts.
        labels: the classes wanted, in their order; without them the data set's own.
        unlabelled: whether pictures of which none is labelled (a folder, a video) are welcome.
        problem: called with each thing that is wrong, which is then left out; by default the
            first one is raised.

    Raises:
        DatasetNotFound: there is nothing at that place, or it has no pictures.
        DatasetError: no format, or several, were recognised; or a label file is wrong.
        UnknownClass: a box's class is not one of ``labels``.
        BoxInvalid: a box is empty or outside its picture.
        PictureUnreadable: a picture is missing, or its header damaged.
        FootageUnreadable: a video cannot be decoded.
    """
    wish = _Wish(labels, unlabelled, problem)
    place, part = _split(path)
    if not place.exists():
        raise errors.DatasetNotFound(
            "there is no such file or folder",
            where=str(place),
            hint="give a folder, a .tar archive, a label file or a video",
        )
    if place.is_dir() or suffix(place.name) == ".tar":
        dataset = _read_tree(place, part, wish)
    else:
        dataset = _read_file(place, part, wish)
    if not dataset.samples:
        raise errors.DatasetNotFound(
            "the data set has no pictures", where=str(path), hint="check that labelling finished"
        )
    if not unlabelled and not any(sample.labelled for sample in dataset.samples):
        raise _nothing_labelled(path, f"none of its {len(dataset.samples)} pictures has labels")
    return dataset


@dataclass(frozen=True)
class _Wish:
    """The arguments of `read_dataset`; see there."""

    labels: tuple[str, ...] | None
    unlabelled: bool
    problem: Problem


def _split(path: Path) -> tuple[Path, str]:
    """``PATH#PART`` into both; a # in a name that exists is no separator."""
    outer, separator, part = str(path).rpartition("#")
    if path.exists() or not separator or not outer:
        return path, ""
    return Path(outer), part


def _read_tree(
    place: Path,
    part: str,
    wish: _Wish,
) -> Dataset:
    source = open_source(place)
    if not part and source.exists(coco.LABELS_NAME):
        return coco.read_from(source, coco.LABELS_NAME, labels=wish.labels, problem=wish.problem)
    listing = list_files(source)
    _warn_of_undecoded(place, listing)
    found = recognise(source, listing)
    if not found and isinstance(source, FolderSource):
        around = beside_images(place)
        if around is not None:
            source, under = around
            listing = list_files(source, under)
            found = {Format.YOLO: ()} if has_labels(source, listing.pictures) else {}
    if len(found) > 1:
        kinds = [f"{kind.value} ({names[0]})" for kind, names in found.items()]
        raise errors.DatasetError(
            f"labels of several formats: {', '.join(kinds)}",
            where=str(place),
            hint="give the label file or the folder of one of them",
        )
    if not found:
        if wish.unlabelled and (listing.pictures or listing.videos):
            return _unlabelled(source, listing, wish)
        raise _nothing_labelled(place, f"no labels of a known format; there is {listing.summary()}")
    ((kind, names),) = found.items()
    return _read_kind(kind, names, source, listing, part, wish)


def _read_kind(
    kind: Format,
    names: tuple[str, ...],
    source: Source,
    listing: Listing,
    part: str,
    wish: _Wish,
) -> Dataset:
    if kind is Format.YOLO:
        yolo_part = find_part(source, listing, part)
        return yolo.read(
            yolo_part.source,
            yolo_part.pictures,
            yolo_part.names,
            labels=wish.labels,
            problem=wish.problem,
        )
    if kind is Format.VOC:
        return voc.read(source, listing, labels=wish.labels, part=part, problem=wish.problem)
    if kind is Format.LABELME and not part:
        return labelme.read(source, listing, labels=wish.labels, problem=wish.problem)
    chosen = pick_part(names, part) if part else names
    if len(chosen) != 1:
        raise _which(kind, names, part, source)
    if kind is Format.COCO:
        return coco.read_from(source, chosen[0], labels=wish.labels, problem=wish.problem)
    return cvat.read(source, chosen[0], listing, labels=wish.labels, problem=wish.problem)


def _read_file(
    path: Path,
    part: str,
    wish: _Wish,
) -> Dataset:
    kind = suffix(path.name)
    source = FolderSource(path.parent)
    if kind in (".yaml", ".yml"):
        content = read_yaml(source, path.name)
        pictures = pictures_of(source, content, part, path.name)
        return yolo.read(source, pictures, content.names, labels=wish.labels, problem=wish.problem)
    if part:
        raise errors.DatasetError(
            f"the file has no parts, so there is no {part!r}",
            where=str(path),
            hint=f"leave out #{part}",
        )
    if kind == ".json" and json_format(path.read_bytes()) is Format.LABELME:
        raise _one_of_many(path, Format.LABELME)
    if kind == ".json":
        return coco.read(path, labels=wish.labels, problem=wish.problem)
    if kind == ".xml" and xml_format(path.read_bytes()) is Format.VOC:
        raise _one_of_many(path, Format.VOC)
    if kind == ".xml":
        return cvat.read(
            source, path.name, list_files(source), labels=wish.labels, problem=wish.problem
        )
    if kind in video.VIDEO_SUFFIXES or kind in PICTURE_SUFFIXES:
        film = kind in video.VIDEO_SUFFIXES
        if not wish.unlabelled:
            raise errors.DatasetError(
                "a video or a picture has no labels of its own",
                where=str(path),
                hint=f"label it first: tartlet label --from-motion {path.name} -o data"
                if film
                else "give the folder with the labels, or the label file",
            )
        alone = Listing(() if film else (path.name,), (path.name,) if film else (), {})
        return _unlabelled(source, alone, wish)
    if kind in (".zip", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst"):
        open_source(path)  # says what to do about it
    raise errors.DatasetError(
        f"a {kind or 'file without a suffix'} is not a data set", where=str(path), hint=_FORMATS
    )


def _unlabelled(source: Source, listing: Listing, wish: _Wish) -> Dataset:
    samples: list[Sample] = []
    for name in listing.pictures:
        try:
            place = source.place(name)
            samples.append(without_boxes(place, *header_of(place).size, labelled=False))
        except errors.DatasetError as error:
            wish.problem(error)
    if listing.videos and not isinstance(source, FolderSource):
        raise errors.FootageUnreadable(
            "a video inside an archive cannot be read",
            where=source.where(listing.videos[0]),
            hint="unpack it",
        )
    for name in listing.videos:
        path = source.root / name
        try:
            width, height = video.frame_size(path)
            frames = range(1, video.count_frames(path) + 1)
        except errors.DatasetError as error:
            wish.problem(error)
            continue
        samples += [
            without_boxes(VideoFrame(path, frame), width, height, labelled=False)
            for frame in frames
        ]
    return Dataset(wish.labels or (), tuple(samples))


def _warn_of_undecoded(place: Path, listing: Listing) -> None:
    count = sum(len(listing.others.get(kind, ())) for kind in NOT_DECODED)
    if count:
        _log.warning(
            "%s: %d pictures in formats that are not read (HEIC, AVIF, camera raw): export as JPEG",
            place,
            count,
        )


def _nothing_labelled(path: Path, what: str) -> errors.DatasetError:
    return errors.DatasetError(what, where=str(path), hint=_FORMATS)


def _one_of_many(path: Path, kind: Format) -> errors.DatasetError:
    return errors.DatasetError(
        f"a {kind.value} file is about one picture",
        where=str(path),
        hint=f"give the folder: {path.parent}",
    )


def _which(kind: Format, names: tuple[str, ...], part: str, source: Source) -> errors.DatasetError:
    return errors.DatasetError(
        f"{len(names)} {kind.value} files, "
        + (f"none or several of which are {part!r}" if part else "and nothing says which is meant")
        + f": {', '.join(names[:5])}",
        where=str(source.root),
        hint=f"give one of them: {source.where(names[0])}",
    )

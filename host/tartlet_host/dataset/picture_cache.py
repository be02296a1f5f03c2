"""Decoded pictures, kept so that they need not be decoded again."""

from __future__ import annotations

from collections import OrderedDict

from tartlet_device.image import Picture, resize
from tartlet_host.dataset.disk_cache import DiskCache
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import PicturePlace, Sample
from tartlet_host.recipe import InputRecipe

# Pictures are kept at up to this many times the size they have on the canvas: enough for the
# zooms of augmentation, and a phone's twelve megapixels do not fill the memory.
KEPT_SCALE = 2.0


class PictureStore:
    """Decoded pictures, kept in memory up to a limit and read again beyond it.

    The first that fit stay. Throwing out the longest unused would keep nothing of a data set that
    is larger than the limit: each would go just before its turn comes again. What does not fit may
    stay for a moment, among the `recent`, and on disk.
    """

    def __init__(
        self,
        canvas: InputRecipe,
        limit_bytes: int,
        *,
        recent_bytes: int = 0,
        disk: DiskCache | None = None,
    ) -> None:
        self._canvas = canvas
        self._free = limit_bytes
        self._kept: dict[PicturePlace, Picture] = {}
        self._recent: OrderedDict[PicturePlace, Picture] = OrderedDict()
        self._recent_free = recent_bytes
        self._disk = disk

    @property
    def nbytes(self) -> int:
        """Memory that the pictures take."""
        pictures = (*self._kept.values(), *self._recent.values())
        return sum(picture.nbytes for picture in pictures)

    def get(self, sample: Sample) -> Picture:
        """The sample's picture, RGB, scaled down where it is larger than any view needs.

        Raises:
            PictureUnreadable: missing, damaged, or of another size than the data set says.
        """
        place = sample.picture
        kept = self._kept.get(place)
        if kept is not None:
            return kept
        recent = self._recent.get(place)
        if recent is not None:
            self._recent.move_to_end(place)
            return recent
        picture = self._read(sample)
        if picture.nbytes <= self._free:
            self._free -= picture.nbytes
            self._kept[place] = picture
        else:
            self._keep_for_a_moment(place, picture)
        return picture

    def _read(self, sample: Sample) -> Picture:
        size = kept_size(sample.width, sample.height, self._canvas)
        if self._disk is not None:
            picture = self._disk.get(sample, size)
            if picture is not None:
                return picture
        picture = read_picture(sample, smallest=size)
        if size != (picture.shape[1], picture.shape[0]):
            picture = resize(picture, size)
        if self._disk is not None:
            self._disk.put(sample, size, picture)
        return picture

    def _keep_for_a_moment(self, place: PicturePlace, picture: Picture) -> None:
        self._recent[place] = picture
        self._recent_free -= picture.nbytes
        while self._recent_free < 0:
            _, oldest = self._recent.popitem(last=False)
            self._recent_free += oldest.nbytes


def largest_kept(canvas: InputRecipe) -> int:
    """Bytes of a kept picture that fills the canvas."""
    return int(KEPT_SCALE * canvas.width) * int(KEPT_SCALE * canvas.height) * 3


def kept_size(width: int, height: int, canvas: InputRecipe) -> tuple[int, int]:
    """Width and height at which a picture is kept: at most `KEPT_SCALE` times its canvas size."""
    scale = min(1.0, KEPT_SCALE * min(canvas.width / width, canvas.height / height))
    return max(1, round(width * scale)), max(1, round(height * scale))

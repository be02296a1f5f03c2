"""How a foreign model wants its picture: what its input tells, and what is usual for its head."""

from __future__ import annotations

from typing import Literal

from tartlet_shared import errors
from tartlet_shared.manifest import Preprocessing, Tensor

Head = Literal["cells", "ssd", "yolo", "end-to-end", "classes"]
Scale = Literal["auto", "0-1", "-1-1", "0-255", "imagenet"]
Fit = Literal["auto", "letterbox", "stretch"]

# (mean, standard deviation) of pixels 0-255.
_SCALES: dict[str, tuple[float, float]] = {
    "0-1": (0.0, 255.0),
    "-1-1": (127.5, 127.5),
    "0-255": (0.0, 1.0),
}
# Mean and standard deviation of ImageNet's red, green and blue, in parts of 255; what torchvision's
# models are trained with.
_IMAGENET_MEANS = tuple(255 * part for part in (0.485, 0.456, 0.406))
_IMAGENET_STDS = tuple(255 * part for part in (0.229, 0.224, 0.225))

_STRETCHED: tuple[Head, ...] = ("ssd", "classes")


def preprocessing_for(
    tensor: Tensor,
    head: Head,
    *,
    scale: Scale = "auto",
    fit: Fit = "auto",
    bgr: bool = False,
    where: str,
) -> tuple[Preprocessing, list[str]]:
    """What the input asks for, and in words what was assumed.

    An integer input tells its scale itself: pixel 0 is its smallest integer. A float input does
    not: YOLO heads get 0-1, SSD -1..1, classification ImageNet's values where the channels come
    first (torch's habit), else -1..1.

    Raises:
        ModelError: the input is no picture of three channels.
    """
    shape = tensor.shape
    if len(shape) != 4 or shape[0] != 1 or 3 not in (shape[1], shape[3]):
        raise errors.ModelError(
            f"the input has shape {shape}, expected (1, height, width, 3) or (1, 3, height, width)",
            where=where,
            hint="only models that take one colour picture can be imported",
        )
    layout: Literal["nhwc", "nchw"] = "nhwc" if shape[3] == 3 else "nchw"
    height, width = shape[1:3] if layout == "nhwc" else shape[2:4]
    notes: list[str] = []
    placed: Literal["letterbox", "stretch"] = "stretch" if head in _STRETCHED else "letterbox"
    if fit != "auto":
        placed = fit
    else:
        notes.append(f"pictures are placed by {placed} (--fit)")
    mean, std = 0.0, 1.0
    means: tuple[float, ...] = ()
    stds: tuple[float, ...] = ()
    if tensor.affine is not None:
        lowest = -128 if tensor.dtype == "int8" else 0
        mean, std = float(tensor.affine.zero_point - lowest), 1.0 / tensor.affine.scale
    else:
        name: str = scale
        if scale == "auto":
            name = _usual(head, layout)
            notes.append(f"pixels are scaled {_in_words(name)} (--scale)")
        if name == "imagenet":
            means, stds = _IMAGENET_MEANS, _IMAGENET_STDS
        elif name == "cells":
            mean, std = 127.0, 128.0
        else:
            mean, std = _SCALES[name]
    made = Preprocessing(
        width=width,
        height=height,
        mean=mean,
        std=std,
        fit=placed,
        layout=layout,
        order="bgr" if bgr else "rgb",
        channel_means=means,
        channel_stds=stds,
    )
    return made, notes


def _usual(head: Head, layout: str) -> str:
    if head == "cells":
        return "cells"
    if head in ("yolo", "end-to-end"):
        return "0-1"
    return "imagenet" if head == "classes" and layout == "nchw" else "-1-1"


def _in_words(name: str) -> str:
    return {
        "cells": "as tartlet's own",
        "0-1": "to 0..1",
        "-1-1": "to -1..1",
        "imagenet": "by ImageNet's mean and deviation",
    }[name]

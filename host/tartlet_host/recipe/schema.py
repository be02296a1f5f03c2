"""Every key of a recipe, its type, range and default.

A key belongs to the step that reads it; docs/recipe.md describes them for people.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Positive = Annotated[int, Meta(ge=1)]
NonNegative = Annotated[int, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
PositiveFloat = Annotated[float, Meta(gt=0.0)]
PositiveFraction = Annotated[float, Meta(gt=0.0, le=1.0)]
NonNegativeFloat = Annotated[float, Meta(ge=0.0)]
Stride = Literal[8, 16, 32]
CanvasSide = Annotated[int, Meta(ge=64, le=2048, multiple_of=8)]


class InputRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """The canvas that pictures are letterboxed onto, in pixels.

    Both sides are multiples of the coarsest stride.
    """

    height: CanvasSide = 256
    width: CanvasSide = 320


class DataRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the pictures are, for `tartlet run`; paths count from the recipe's folder.

    train: a data set of any known format, or a video of a fixed camera to label from motion.
    validation: a data set; without one, a part of `train` is split off.
    test: a data set that decides nothing and is measured at the end; optional.
    unlabelled: pictures or a video that the unpruned network teaches the pruned one on; optional.
    motion: label `train` from motion; the label is the recipe's only one.
    refine: rounds of labelling again with the trained network, for motion labels.
    split: how `validation` is split off.
    group: for split = "grouped": a regular expression whose first group names a picture's group.
    validation_share: part of the pictures (or groups) that goes to validation.
    seed: of the split.
    """

    train: str = ""
    validation: str = ""
    test: str = ""
    unlabelled: str = ""
    motion: bool = False
    refine: NonNegative = 0
    split: Literal["holdout", "grouped", "time"] = "holdout"
    group: str = ""
    validation_share: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.2
    seed: int = 1


class ModelRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """The network.

    backbone: EfficientNet-Lite0, or one of three small ones made of one kind of block.
    width: multiplier of the backbone's channels; pretrained weights exist for 1 only.
    strides: feature levels, fine to coarse, each twice the one before: 8, 16, 32 or a part.
    neck_channels: width of the neck and the heads.
    pretrained: start the backbone from ImageNet weights.
    """

    backbone: Literal["efficientnet-lite0", "separable", "residual", "plain"] = "efficientnet-lite0"
    width: Annotated[float, Meta(ge=0.1, le=4.0)] = 1.0
    strides: tuple[Stride, ...] = (8, 16, 32)
    neck_channels: Positive = 64
    pretrained: bool = True


class AugmentRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """Random changes to training pictures.

    scale_min, scale_max: zoom against the letterboxed picture, drawn evenly in its logarithm.
    flip, flip_vertical: probability of a left-right and of an upside-down flip.
    turn: probability of one, two or three quarter turns.
    brightness, contrast, saturation: largest change, as a fraction.
    hue: largest turn of the colour circle, in degrees.
    blur, noise: probability of a soft and of a grainy picture.
    cutout: probability that grey patches hide parts of the picture.
    mosaic, mixup, cutmix: probability of four pictures in one, of two blended, of a patch of
        another picture; at most one of them happens to a picture.
    paste: up to so many objects of other pictures are pasted into one.
    """

    scale_min: PositiveFloat = 0.7
    scale_max: PositiveFloat = 2.0
    flip: Fraction = 0.5
    flip_vertical: Fraction = 0.0
    turn: Fraction = 0.0
    brightness: Fraction = 0.2
    contrast: Fraction = 0.2
    saturation: Fraction = 0.3
    hue: Annotated[float, Meta(ge=0.0, le=180.0)] = 0.0
    blur: Fraction = 0.0
    noise: Fraction = 0.0
    cutout: Fraction = 0.0
    mosaic: Fraction = 0.0
    mixup: Fraction = 0.0
    cutmix: Fraction = 0.0
    paste: NonNegative = 0


class LossRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """What training minimises.

    score: quality focal loss (the score learns the box's IoU) or focal loss (it learns 0 and 1).
    box: loss of matched boxes.
    box_weight: of the box loss against the score loss.
    label_smoothing: how far the score's goals stay away from 0 and 1.
    class_entropy: weight of a comparison of the classes with each other in cells that have an
        object, for classes that look alike; without meaning for one class.
    class_weights: by label; a label that is not named has 1.
    """

    score: Literal["quality-focal", "focal"] = "quality-focal"
    box: Literal["giou", "diou", "ciou", "smooth-l1", "huber"] = "giou"
    box_weight: NonNegativeFloat = 2.0
    label_smoothing: Annotated[float, Meta(ge=0.0, le=0.5)] = 0.0
    class_entropy: NonNegativeFloat = 1.0
    class_weights: dict[str, PositiveFloat] = {}


class TrainRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """One run of the training loop.

    steps, batch_size: the run sees steps x batch_size pictures.
    optimizer, learning_rate, momentum: peak rate; momentum is SGD's. backbone_rate is the
        backbone's share of the rate.
    schedule: how the rate falls after `warmup`, the part of the steps with a rising one: along a
        cosine, or as one cycle.
    assignment_warmup: part of the steps that assign cells by geometry alone.
    freeze_backbone: part of the steps during which the whole backbone keeps its weights.
    freeze_normalization_after: part of the steps after which batch norm keeps its statistics.
    freeze_backbone_normalization_after: the same for the backbone, whose statistics are good from
        the start unless it was pruned; frozen norms make a step a quarter faster.
    frozen_stages: first parts of the backbone (1: the stem) that keep their pretrained weights.
    ema_decay: of the average of weights that becomes the result.
    distillation: weight of imitating the teacher, where there is one.
    precision: "mixed" computes in 16 bits on CUDA; "auto" does so where there is CUDA.
    sampling: "balanced" shows pictures with rare classes more often.
    validate_every: steps between two looks at the validation set; 0 looks only at the end.
    patience: looks without progress after which training stops; 0 never stops early.
    checkpoint_every: steps between two states that a killed run goes on from; 0 writes none.
    cache_megabytes: memory for decoded pictures; disk_cache_megabytes: on disk, for the rest.
    workers: processes that prepare pictures; 0 prepares them in a thread.
    echo: times that a decoded picture is used, in different views, before the next is read.
    """

    steps: Positive = 500
    batch_size: Positive = 8
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 2e-3
    momentum: Fraction = 0.9
    backbone_rate: Fraction = 0.5
    weight_decay: NonNegativeFloat = 0.02
    schedule: Literal["cosine", "one-cycle"] = "cosine"
    warmup: Fraction = 0.05
    assignment_warmup: Fraction = 0.15
    freeze_backbone: Fraction = 0.0
    freeze_normalization_after: Fraction = 0.4
    freeze_backbone_normalization_after: Fraction = 0.0
    frozen_stages: NonNegative = 0
    ema_decay: Fraction = 0.99
    gradient_clip: PositiveFloat = 10.0
    distillation: NonNegativeFloat = 1.0
    precision: Literal["auto", "float32", "mixed"] = "auto"
    sampling: Literal["even", "balanced"] = "even"
    validate_every: NonNegative = 0
    patience: NonNegative = 0
    checkpoint_every: NonNegative = 100
    cache_megabytes: NonNegative = 768
    disk_cache_megabytes: NonNegative = 0
    workers: NonNegative = 0
    echo: Positive = 1
    seed: int = 1
    loss: LossRecipe = LossRecipe()
    augment: AugmentRecipe = AugmentRecipe()


class FinetuneRecipe(TrainRecipe, frozen=True, forbid_unknown_fields=True):
    """Training after pruning: a `TrainRecipe` with other defaults.

    The network can see already, so no step assigns by geometry; pruning shifted the backbone's
    statistics, so they are taken again.
    """

    assignment_warmup: Fraction = 0.0
    freeze_backbone_normalization_after: Fraction = 0.4


class PruneRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """Structured pruning and the training that repairs what it cut.

    input: canvas of the pruned network; without one it keeps its parent's. Time goes with the
        canvas's area, and a network trained with zoom sees well on a somewhat smaller one.
    strides: feature levels that stay, the finest first; empty keeps all. A level that goes takes
        the backbone's stages behind it along.
    importance: what decides which channels go: the size of their weights, or how much the loss
        would change without them (Taylor).
    keep_multiplies: part of the multiplies that stays; a smaller canvas and the levels that went
        count in.
    keep_latency: part of the parent's measured time that may stay; pruning goes on below
        `keep_multiplies` until it is reached. 1 asks nothing.
    rounds: prune in so many equal parts, each followed by its share of the fine-tuning.
    largest_loss: mAP50 on the validation set that may be lost; further rounds are not begun and
        the last good network is the result. 1 asks nothing.
    inside_power: channels inside a block (its expansion) keep this power of the part that the
        others keep; above 1 the expansions, where most of the time goes, are cut deeper.
    round_to: channel counts stay multiples of this.
    max_ratio: most of one layer's channels that may go.
    finetune: the training run after it, with the unpruned network as teacher. Keys of its
        `augment` that a recipe does not name are those of `train.augment`.
    """

    input: InputRecipe | None = None
    strides: tuple[Stride, ...] = ()
    importance: Literal["magnitude", "taylor"] = "magnitude"
    keep_multiplies: PositiveFraction = 0.3
    keep_latency: PositiveFraction = 1.0
    rounds: Positive = 1
    largest_loss: PositiveFraction = 1.0
    inside_power: Annotated[float, Meta(ge=0.5, le=4.0)] = 1.0
    round_to: Positive = 8
    max_ratio: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.8
    finetune: FinetuneRecipe = FinetuneRecipe()


class QuantizeRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """int8 quantization.

    calibration_pictures: training pictures that set the activation ranges, evenly spread.
    calibration: how a range comes from the values seen.
    percentile: for calibration = "percentile": part of the values, in percent, inside the range.
    aware_steps: steps of training with simulated int8 before the static path; 0 does none.
    largest_loss: mAP50 on the validation set that int8 may lose against float. Layers that lose
        most stay float, one after the other, until this holds.
    float_layers: most layers that may stay float.
    """

    calibration_pictures: Positive = 100
    calibration: Literal["min-max", "percentile", "entropy"] = "min-max"
    percentile: Annotated[float, Meta(gt=50.0, le=100.0)] = 99.99
    aware_steps: NonNegative = 0
    largest_loss: PositiveFraction = 0.01
    float_layers: NonNegative = 4


class TuneRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """What `tartlet tune` searches: low and high, or choices; what is empty is not searched.

    trials: how many settings are tried.
    steps: of a trial's training; fewer than the recipe's make a search affordable.
    learning_rate, weight_decay: low and high, drawn evenly in the logarithm.
    width, neck_channels: choices for the network.
    input: choices for the canvas, each height and width.
    """

    trials: Positive = 20
    steps: Positive = 150
    learning_rate: tuple[PositiveFloat, PositiveFloat] = (5e-4, 5e-3)
    weight_decay: tuple[PositiveFloat, PositiveFloat] = (1e-3, 1e-1)
    width: tuple[PositiveFloat, ...] = ()
    neck_channels: tuple[Positive, ...] = ()
    input: tuple[InputRecipe, ...] = ()


class GateRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """Which candidates may be packaged.

    largest_loss: mAP50 on the validation set that a compressed model may lose against the float
        one it comes from; the fastest that passes is packaged.
    """

    largest_loss: PositiveFraction = 0.01


class Recipe(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole recipe. `labels` names the classes; background is not one of them."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]
    labels: Annotated[tuple[str, ...], Meta(min_length=1)]
    data: DataRecipe = DataRecipe()
    input: InputRecipe = InputRecipe()
    model: ModelRecipe = ModelRecipe()
    train: TrainRecipe = TrainRecipe()
    prune: PruneRecipe = PruneRecipe()
    quantize: QuantizeRecipe = QuantizeRecipe()
    gate: GateRecipe = GateRecipe()
    tune: TuneRecipe = TuneRecipe()

"""What each paper did, as far as this loop can follow it: its numbers, where they are from, and what differs."""

from dataclasses import replace
from typing import NamedTuple

from ..data.augmentation import Augmentation
from ..networks.casebook import Entry
from .recipe import Recipe


class Named(NamedTuple):
    """A recipe and where it is from.

    Attributes:
        recipe: the record.
        source: of its numbers.
        departs: what of the source it does not follow, or fills in.
    """

    recipe: Recipe
    source: str
    departs: str


def _scaled(smallest: int, largest: int) -> Augmentation:
    """Crops of 224 pixels of images whose shorter side has any length between, mirrored, and AlexNet's colours."""
    return Augmentation(mirror=0.5, zoom=(smallest / 224, largest / 224), pca=0.1)


def _every(epochs: float, factor: float, last: int) -> tuple[tuple[float, float], ...]:
    """A drop by `factor` every `epochs`, up to epoch `last`."""
    return tuple((epochs * i, factor**i) for i in range(1, int(last / epochs) + 1))


TENTHS = (0.1, 0.01, 0.001)
PLATEAU = "the paper divides the rate by 10 when the error stands still, here at epochs that we chose"
# 4 of 32 pixels, padded with black
CIFAR = Augmentation(mirror=0.5, shift=4 / 32, border="black")
# 224 of 256 pixels: moved by up to 16 either way, at the scale of the evaluation
ALEXNET_CROPS = Augmentation(mirror=0.5, shift=16 / 224, pca=0.1)
INCEPTION = Augmentation(mirror=0.5, area=(0.08, 1.0))
OF_PAPERS = Recipe(epochs=90, schedule="steps", drops=((30, 0.1),), warm_up=0.0, nesterov=False, decay_all=True)
TF = replace(OF_PAPERS, optimizer="rmsprop", nesterov=True)  # nesterov is sgd's alone: left at its default
EPSILON = "epsilon 1, which is not in the paper, is opt_epsilon's default in slim's train_image_classifier.py"

LENET = Named(
    replace(
        OF_PAPERS, epochs=20, batch=1, lr=0.01, momentum=0.0, weight_decay=0.0,
        drops=((2, 0.4), (5, 0.2), (8, 0.1), (12, 0.02)),
    ),
    "LeCun et al. 1998: 20 passes, one pattern a step, rates 5e-4, 2e-4, 1e-4, 5e-5, 1e-5 after 2, 5, 8 and 12 "
    "(read in third-party code)",
    "the paper scales the rate of each weight by an estimated curvature; here all have 0.01, our choice, which falls "
    "in the same proportions; without the distorted patterns of the paper's second result",
)  # fmt: skip
ALEXNET = Named(
    replace(
        OF_PAPERS, epochs=90, batch=128, lr=0.01, weight_decay=5e-4,
        drops=tuple(zip((30, 60, 80), TENTHS, strict=True)), augmentation=ALEXNET_CROPS,
    ),
    "Krizhevsky et al. 2012, section 4.1: crops of 224 of 256 pixels, mirrored, PCA colour 0.1; section 5: SGD, "
    "momentum 0.9, about 90 epochs",
    f"{PLATEAU}; beyond the border of the evaluation's crop its reflection is seen; He initialisation",
)  # fmt: skip
VGG = Named(
    replace(
        OF_PAPERS, epochs=74, batch=256, lr=0.01, weight_decay=5e-4,
        drops=tuple(zip((25, 50, 65), TENTHS, strict=True)), augmentation=_scaled(256, 512),
    ),
    "Simonyan & Zisserman 2015, section 3.1: SGD, momentum 0.9, 74 epochs; crops of 224 pixels, shorter side 256 to "
    "512, mirrored, AlexNet's colours",
    f"{PLATEAU}; deep nets start from He initialisation, not from net A",
)  # fmt: skip
NIN = Named(
    replace(
        OF_PAPERS, epochs=307, batch=128, lr=0.1, weight_decay=1e-4, drops=((256, 0.1),),
        augmentation=replace(CIFAR, border="reflect"),
    ),
    "Lin et al. 2014: translated and mirrored for its best result; the Caffe model zoo's solver for CIFAR-10: 120,000 "
    "steps of 128 images, divided by 10 at 100,000; the paper gives no numbers",
    "by how much it translates is not in the paper, here ResNet's 4 of 32 pixels; no whitening",
)  # fmt: skip
GOOGLENET = Named(
    replace(
        OF_PAPERS, epochs=90, batch=32, lr=0.01, weight_decay=2e-4, drops=_every(8, 0.96, 89), ema=0.9999,
        aux_weight=0.3, augmentation=replace(INCEPTION, brightness=0.4, contrast=0.4, saturation=0.4),
    ),
    "Szegedy et al. 2015, sections 5 and 6: momentum 0.9, 4 % less every 8 epochs, averaged weights, auxiliary losses "
    "of weight 0.3; crops of 8 to 100 % of the area, 3/4 to 4/3 wide, photometric distortions; rate and decay from "
    "Caffe's replica",
    "one machine, steps in order; batch and epochs are not in the paper and are our choice; distortions as strong as "
    "fb.resnet.torch's, always bilinear",
)  # fmt: skip
RESNET = Named(
    replace(
        OF_PAPERS, epochs=120, batch=256, lr=0.1, weight_decay=1e-4,
        drops=tuple(zip((30, 60, 90), TENTHS, strict=True)), augmentation=_scaled(256, 480),
    ),
    "He et al. 2016, section 3.4: SGD, momentum 0.9, up to 600,000 steps, 120 epochs of ImageNet; crops of 224 pixels, "
    "shorter side 256 to 480, mirrored, AlexNet's colours",
    f"{PLATEAU}, as torchvision does",
)  # fmt: skip
RESNET_CIFAR = Named(
    replace(
        OF_PAPERS, epochs=182, batch=128, lr=0.1, weight_decay=1e-4, drops=((91, 0.1), (136.5, 0.01)),
        augmentation=CIFAR,
    ),
    "He et al. 2016, section 4.2: 64,000 steps, divided by 10 at 32,000 and 48,000; 182 epochs of 45,000 images, "
    "padded by 4 of 32 pixels, cropped and mirrored",
    "one mean a channel instead of one a pixel, taken off after the padding",
)  # fmt: skip
RESNET_110 = RESNET_CIFAR._replace(
    recipe=replace(RESNET_CIFAR.recipe, warm_up=400 / 64_000),
    departs=f"the paper holds 0.01 for about 400 steps, here the rate rises over them; {RESNET_CIFAR.departs}",
)
MOBILENET_V1 = Named(
    replace(
        TF, epochs=100, batch=64, lr=0.045, epsilon=1.0, weight_decay=4e-5, drops=_every(2.5, 0.94, 99),
        augmentation=replace(INCEPTION, area=(0.35, 1.0)),
    ),
    f"Howard et al. 2017, section 3.2: RMSprop; rate, its decay and batch from TensorFlow's slim; {EPSILON}",
    "slim's script for it takes plain gradient descent; one machine instead of many that do not wait; the paper "
    "decays the depthwise filters little or not at all, here all alike by 4e-5, MobileNetV2's figure; the number "
    "of epochs is our choice, and so is the least crop, 35 % of the area, where the paper says that small crops "
    "are limited",
)  # fmt: skip
MOBILENET_V2 = Named(
    replace(
        TF, epochs=300, batch=96, lr=0.045, epsilon=1.0, weight_decay=4e-5, drops=_every(1, 0.98, 299),
        augmentation=INCEPTION,
    ),
    "Sandler et al. 2018, section 6.1: RMSprop, rate 0.045, 2 % less an epoch, batch 96; 300 epochs, crops and mirror "
    f"from torchvision; {EPSILON}",
    "one machine instead of 16 workers",
)  # fmt: skip
EFFICIENTNET = Named(
    replace(
        TF, epochs=350, batch=256, lr=0.016, weight_decay=1e-5, drops=_every(2.4, 0.97, 349), warm_up=5 / 350,
        label_smoothing=0.1, ema=0.9999, decay_all=False, augmentation=INCEPTION,
    ),
    "Tan & Le 2019, section 5.2, and its code: RMSprop, epsilon 0.001; 0.016 for each 256 images, 3 % less every 2.4 "
    "epochs, 5 epochs of warm-up, label smoothing 0.1, averaged weights; crops of 8 to 100 % of the area, mirrored",
    "a batch of 256 instead of 2048; decay left off norms and biases is our choice; no AutoAugment",
)  # fmt: skip

PAPERS = {
    ("lenet", "lenet5_1998"): LENET, ("lenet", "lenet5"): LENET, ("alexnet", ""): ALEXNET, ("vgg", ""): VGG,
    ("nin", ""): NIN, ("googlenet", ""): GOOGLENET, ("resnet", "resnet"): RESNET,
    ("resnet", "resnet_cifar"): RESNET_CIFAR, ("mobilenet_v1", ""): MOBILENET_V1, ("mobilenet_v2", ""): MOBILENET_V2,
    ("efficientnet", ""): EFFICIENTNET,
}  # fmt: skip


def of_paper(entry: Entry) -> Named:
    """What the paper of a network did."""
    if entry.fixed.get("depth") == 110:
        return RESNET_110
    return PAPERS.get((entry.module, entry.builder)) or PAPERS[entry.module, ""]

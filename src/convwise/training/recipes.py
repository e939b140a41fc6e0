"""Recipes by name: the paper's, one of today, and the one that published weights are trained on with."""

from dataclasses import replace

from .. import networks
from ..data.augmentation import Augmentation
from ..data.augmentation.record import GREY_KEEPS
from ..data.preprocessing import Preprocessing
from ..errors import UsageError, one_of
from .paper_recipes import CIFAR, INCEPTION, Named, of_paper
from .recipe import Recipe

NAMES = ("modern", "paper")

# No mirror, which makes another character of many. scikit-learn's digits at 28 px, lowest NLL on the held-out tenth of
# 1408 images, seeds 0 to 2: 0.0028, 0.0056, 0.0004 with it, 0.028, 0.064, 0.058 without.
CHARACTERS = Augmentation(shift=2 / 28, rotation=10.0)
OURS = "our choice; LeNet-5's was measured on held-out images, the rest was not"
SMALL = Named(Recipe(augmentation=CHARACTERS), OURS, "")
NORMED = Named(
    Recipe(
        epochs=60, batch=64, lr=0.05, schedule="cosine", warm_up=0.05, decay_all=False, label_smoothing=0.1, clip=5.0
    ),
    OURS, "",
)  # fmt: skip
UNNORMED = Named(
    Recipe(
        epochs=60, batch=64, optimizer="adamw", lr=3e-4, weight_decay=0.05, schedule="cosine", warm_up=0.1,
        decay_all=False, label_smoothing=0.1, clip=1.0,
    ),
    OURS, "",
)  # fmt: skip
WITHOUT_NORM = (
    "alexnet", "alexnet_owt", "nin_cifar10", "nin_imagenet", "vgg11", "vgg13", "vgg16", "vgg19", "googlenet",
)  # fmt: skip


# From published weights on. The rate falls from stage to stage towards the image, whose filters serve any photo. Chosen
# on held-out training images, with the cut of `usual_freeze`: docs/transfer.md.
TUNED = Named(
    Recipe(
        epochs=12, batch=32, lr=0.004, schedule="cosine", warm_up=0.1, weight_decay=5e-4, decay_all=False,
        layer_decay=0.8, views=4,
    ),
    "our choice, measured on held-out images", "",
)  # fmt: skip
# Of a few thousand photos most of each must be seen: crops from a quarter of the area on, instead of half, lost two
# points of top-1 there.
MILD = replace(INCEPTION, area=(0.7, 1.0))
SMALL_SIDE = 64  # pixels; up to here a photo is moved, above it a part of it is enlarged


def named(network: str, name: str, resolution: int | None = None) -> Named:
    """The recipe `name` of a network, with its source.

    Args:
        network: of the casebook.
        name: "modern" or "paper".
        resolution: side of the input in pixels, which decides on today's augmentation; None: the network's own.

    Raises:
        UsageError: there is no such network or recipe.
    """
    entry = networks.describe(network)
    if name not in NAMES:
        raise one_of("recipe", name, (*NAMES, "a file.toml"))
    if name == "paper":
        return of_paper(entry)
    if entry.module == "lenet":
        return SMALL
    found = UNNORMED if network in WITHOUT_NORM else NORMED
    return found._replace(recipe=replace(found.recipe, augmentation=usual_augmentation(network, resolution)))


def usual_augmentation(network: str, resolution: int | None = None) -> Augmentation:
    """What suits the images that a network is for: characters, small photos, or photos; resolution as in `named`."""
    entry = networks.describe(network)
    if entry.channels == 1:
        return CHARACTERS
    return replace(CIFAR, border="reflect") if (resolution or entry.resolution) <= SMALL_SIDE else INCEPTION


def preprocessing_for(network: str, resolution: int | None = None) -> Preprocessing:
    """What a network trained from random weights sees, mean and std aside, which its images give."""
    entry = networks.describe(network)
    grey = (127.5,) * entry.channels
    return Preprocessing(
        channels=entry.channels, resolution=resolution or entry.resolution, crop=1.0, mean=grey, std=grey
    )


def tuned(network: str, resolution: int | None = None) -> Recipe:
    """The recipe of training on from published weights; resolution as in `named`."""
    usual = usual_augmentation(network, resolution)
    return replace(TUNED.recipe, augmentation=MILD if usual == INCEPTION else usual)


def recipe_for(network: str, name: str, resolution: int | None = None) -> Recipe:
    """The recipe `name`, "modern" or "paper", of a network; resolution as in `named`.

    Raises:
        UsageError: there is no such network or recipe.
    """
    return named(network, name, resolution).recipe


def check_effect_on(network: str, recipe: Recipe) -> None:
    """Refuse what a recipe, that somebody wrote, gives and this network cannot use.

    Raises:
        UsageError: there is something.
    """
    entry, images = networks.describe(network), recipe.augmentation
    if recipe.aux_weight is not None and "aux" not in entry.arguments:
        raise UsageError(f"aux_weight has no effect: {network} has no auxiliary heads; leave it out of the recipe")
    useless = [name for name in GREY_KEEPS if getattr(images, name)]
    useless += ["pca_colours 'own'"] if images.pca_colours == "own" else []
    if entry.channels == 1 and useless:
        raise UsageError(
            f"augmentation {useless[0]} has no effect: {network} sees grey images; leave it out of the recipe"
        )

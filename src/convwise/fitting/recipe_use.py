"""Whether a recipe can be followed by a candidate, as far as its transfer decides on it."""

from ..errors import UsageError
from ..training.recipe import Recipe

CACHING = ("head", "partial")  # a frozen part sees each view once, before any epoch


def check_recipe(recipe: Recipe, network: str, transfer: str) -> None:
    """Refuse what the training of a network cannot follow.

    Raises:
        UsageError: auxiliary losses of a network that is trained without, or mixtures of images where views are cached.
    """
    if recipe.aux_weight is not None and transfer != "none":
        raise UsageError(
            f"aux_weight has no effect: with transfer {transfer!r} {network} is trained without its auxiliary heads; "
            "leave it out of the recipe"
        )
    if transfer in CACHING and recipe.augmentation.mixes:
        mixed = [name for name in ("mixup", "cutmix") if getattr(recipe.augmentation, name)]
        raise UsageError(
            f"{' and '.join(mixed)} cannot be had with transfer {transfer!r}, whose frozen part sees each image alone; "
            "leave it out of the recipe's [augmentation]"
        )


def usual_mirror(recipe: Recipe, given: Recipe | str | None, transfer: str) -> bool:
    """Whether training on from published weights mirrors images as usual: images may then show that it harms.

    Args:
        recipe: of the training.
        given: what the user says of recipes; who wrote one is followed.
        transfer: of the candidate.
    """
    return transfer in ("partial", "full") and not isinstance(given, Recipe) and recipe.augmentation.mirror > 0

from pathlib import Path

import pytest

from convwise.data.augmentation import Augmentation
from convwise.fitting.recipe_text import as_toml
from convwise.training.recipe import Recipe
from convwise.training.recipes import recipe_for, tuned


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(), tuned("efficientnet_lite0"), recipe_for("googlenet", "paper"), recipe_for("efficientnet_b0", "paper"),
        recipe_for("vgg16", "modern"), recipe_for("lenet5_1998", "paper"),
        Recipe(weight_decay=1e-05, patience=2, balance=True, channels_last=False, seed=3, time_limit=60.0,
               augmentation=Augmentation(pca=0.1, pca_colours=((1.0, 2.0, 3.0),) * 3, warp=0.04, erasing=0.5)),
    ],
)  # fmt: skip
def test_a_recipe_that_is_written_down_is_the_same_when_it_is_read(recipe: Recipe, tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text(as_toml(recipe))
    assert Recipe.from_toml(file) == recipe


def test_what_has_its_default_is_left_out() -> None:
    assert as_toml(Recipe(lr=0.1, augmentation=Augmentation(mirror=0.5))) == (
        'epochs = 30\nbatch = 32\noptimizer = "sgd"\nlr = 0.1\n[augmentation]\nmirror = 0.5'
    )

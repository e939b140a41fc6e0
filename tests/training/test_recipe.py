import json
import math
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from convwise import networks
from convwise.data.augmentation import Augmentation
from convwise.errors import UsageError
from convwise.training.paper_recipes import PAPERS
from convwise.training.recipe import Recipe, shorter
from convwise.training.recipe_rules import RULES
from convwise.training.recipes import NAMES, WITHOUT_NORM, named, recipe_for, usual_augmentation
from convwise.training.schedule import rate


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = 0", "epochs must be a whole number of at least 1, got 0"),
        ("epochs = 2.5", "epochs must be a whole number of at least 1, got 2.5"),
        ("epochs = true", "epochs must be a whole number of at least 1, got True"),
        ("batch = '32'", "batch must be a whole number of at least 1, got '32'"),
        ("lr = 0", "lr must be a number above 0, got 0"),
        ("lr = inf", "lr must be a number above 0, got inf"),
        ("lr = nan", "lr must be a number above 0, got nan"),
        ("momentum = 1", "momentum must be a number of at least 0 and below 1, got 1"),
        ("nesterov = 1", "nesterov must be true or false, got 1"),
        ("betas = [0.9]\noptimizer = 'adamw'", "betas must be two numbers of at least 0 and below 1, got (0.9,)"),
        ("drops = [[3, 0.1], [2, 0.01]]\nschedule = 'steps'",
         "drops must be pairs of an epoch and a share of lr, epochs rising, got ((3, 0.1), (2, 0.01))"),
        ("drops = [3]\nschedule = 'steps'",
         "drops must be pairs of an epoch and a share of lr, epochs rising, got (3,)"),
        ("drops = [[3, 0.1]]", "drops and schedule 'steps' go together, got 'linear' and [(3, 0.1)]"),
        ("schedule = 'steps'", "drops and schedule 'steps' go together, got 'steps' and []"),
        ("schedule = 'cosin'",
         "schedule must be one of linear, cosine, steps, constant, got 'cosin'; did you mean 'cosine'?"),
        ("optimizer = 'adam'",
         "optimizer must be one of sgd, adamw, rmsprop, got 'adam'; did you mean 'adamw'?"),
        ("precision = 16", "precision must be one of auto, float32, bfloat16, got '16'"),
        ("accumulate = 33", "accumulate must be at most the batch, 32, got 33"),
        ("optimizer = 'adamw'\nmomentum = 0.9", "momentum has no effect with optimizer 'adamw'; leave it out"),
        ("optimizer = 'rmsprop'\nnesterov = true", "nesterov has no effect with optimizer 'rmsprop'; leave it out"),
        ("betas = [0.9, 0.99]", "betas has no effect with optimizer 'sgd'; leave it out"),
        ("epsilon = 1.0", "epsilon has no effect with optimizer 'sgd'; leave it out"),
        ("epsilon = 0\noptimizer = 'rmsprop'", "epsilon must be a number above 0, got 0"),
        ("momentum = 0\nnesterov = true", "nesterov has no effect with momentum 0; leave it out"),
        ("weight_decay = 0\ndecay_all = true", "decay_all has no effect with weight_decay 0; leave it out"),
        ("seed = -1", "seed must be a whole number of at least 0 and below 2^63, got -1"),
        ("seed = 9223372036854775808",
         "seed must be a whole number of at least 0 and below 2^63, got 9223372036854775808"),
        ("patience = 29", "patience 29 has no effect with 30 epochs; leave it out"),
        ("epochs = 60\nschedule = 'steps'\ndrops = [[30, 0.1], [60, 0.01]]",
         "drops must lie before epoch 60, where training ends, got 60"),
        ("[augmentation]\nmirror = 0.5\nratio = [1.0, 1.0]",
         "augmentation ratio has no effect without area; leave it out"),
        ("patience = 0", "patience must be a whole number of at least 1, got 0"),
        ("augmentation = true", "augmentation must be a table, [augmentation] and strengths below it, got True"),
        ("[augmentation]\nmirror = 2", "augmentation mirror must be a probability in [0, 1], got 2"),
        ("warm_up = -0.1", "warm_up must be a number of at least 0 and below 1, got -0.1"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_in_a_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "my.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"^{re.escape(f'recipe {str(path)!r}: {message}')}$"):
        Recipe.from_toml(path)


def test_a_field_that_is_mistyped_gets_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("epoch = 3")
    with pytest.raises(UsageError, match=r": field must be one of epochs, .*, got 'epoch'; did you mean 'epochs'\?$"):
        Recipe.from_toml(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file or directory"), (b"epochs: 3", "is not TOML: "), (b"\xff", "is not TOML: ")],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "my.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=f"^{re.escape(f'recipe {str(path)!r} {words}')}[^\n]*$"):
        Recipe.from_toml(path)


def test_a_file_says_what_it_wants_and_the_rest_has_its_default(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(
        "epochs = 12\nlr = 1\nschedule = 'steps'\ndrops = [[6, 0.1], [9.5, 0.01]]\nchannels_last = true\nclip = 1"
    )
    recipe = Recipe.from_toml(path)
    drops = ((6, 0.1), (9.5, 0.01))
    assert recipe == Recipe(epochs=12, lr=1, schedule="steps", drops=drops, channels_last=True, clip=1)


def test_every_field_is_checked_and_recorded() -> None:
    names = {field.name for field in fields(Recipe)}
    assert names == RULES.keys() | {"optimizer", "schedule", "precision", "augmentation"}
    assert Recipe().to_json().keys() == names


def test_the_first_difference_is_named() -> None:
    recipe = Recipe(lr=0.1, drops=((3, 0.1),), schedule="steps")
    assert recipe.difference(recipe.to_json()) == ""
    assert recipe.difference(Recipe(lr=0.2).to_json()) == "lr 0.2, now 0.1"


def test_a_file_has_its_augmentation_in_a_table(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("epochs = 3\n[augmentation]\nmirror = 0.5\nshift = 0.25\nborder = 'black'\n")
    augmentation = Augmentation(mirror=0.5, shift=0.25, border="black")
    assert Recipe.from_toml(path) == Recipe(epochs=3, augmentation=augmentation)
    assert Recipe().augmentation == Augmentation()


def test_a_recipe_with_augmentation_goes_through_json() -> None:
    recipe = Recipe(augmentation=Augmentation.usual("area", "mirror", "pca"))
    record = json.loads(json.dumps(recipe.to_json()))
    assert recipe.difference(record) == ""
    assert Augmentation.from_json(record["augmentation"]) == recipe.augmentation


def test_a_difference_in_augmentation_is_named() -> None:
    plain, other = Recipe(), Recipe(augmentation=Augmentation(mirror=0.5))
    assert plain.difference(other.to_json()) == "augmentation.mirror 0.5, now 0.0"
    cropped = Recipe(augmentation=Augmentation(area=(0.25, 1.0)))
    assert cropped.difference(plain.to_json()) == "augmentation.area None, now [0.25, 1.0]"
    assert plain.difference(cropped.to_json()) == "augmentation.area [0.25, 1.0], now None"


def rates(steps: int, **recipe: Any) -> list[float]:
    """Of a recipe of one epoch."""
    return [rate(Recipe(epochs=1, **recipe), step, steps) for step in range(steps)]


def test_the_rate_rises_over_a_tenth_and_falls_in_a_line() -> None:
    # 20 steps, 2 of them up; then 18 down: (20 - step) / 18
    assert rates(20) == pytest.approx([0.5, 1.0, *[(20 - step) / 18 for step in range(2, 20)]])


def test_the_cosine_falls_over_half_a_wave() -> None:
    expected = [(1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)]
    assert rates(8, schedule="cosine", warm_up=0.0) == pytest.approx(expected)
    assert rates(10, schedule="cosine", warm_up=0.2) == pytest.approx([0.5, 1.0, *expected])


def test_drops_count_in_epochs_and_may_lie_within_one() -> None:
    recipe = Recipe(epochs=4, schedule="steps", drops=((1, 0.1), (2.5, 0.01)), warm_up=0.0)
    assert [rate(recipe, step, 2) for step in range(8)] == [1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01]
    assert rates(3, schedule="constant", warm_up=0.0) == [1, 1, 1]


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("steps", [1, 2, 5, 9, 11])
def test_short_trainings_have_a_rate_too(steps: int, schedule: str) -> None:
    assert all(0 < share <= 1 for share in rates(steps, schedule=schedule))


def test_a_shorter_training_drops_at_the_same_share() -> None:
    recipe = Recipe(epochs=90, schedule="steps", drops=((30, 0.1), (60, 0.01)))
    assert shorter(recipe, 9) == Recipe(epochs=9, schedule="steps", drops=((3, 0.1), (6, 0.01)))


def test_a_shorter_training_has_patience_where_it_could_stop_something() -> None:
    # the first epoch may be the best: with patience 3 the fourth epoch after it is the first that can be spared
    recipe = Recipe(epochs=30, patience=3)
    assert [shorter(recipe, epochs).patience for epochs in (60, 5, 4, 1)] == [3, 3, None, None]


def test_every_network_has_its_recipes() -> None:
    for network in networks.names():
        for name in NAMES:
            found = named(network, name)
            assert recipe_for(network, name) == found.recipe
            assert found.source
    assert {entry.module for entry in networks.casebook.ENTRIES.values()} == {module for module, _ in PAPERS}


# Facts of the papers: networks.*.recipe (batch, rate, decay, epochs or steps).
@pytest.mark.parametrize(
    ("network", "batch", "lr", "weight_decay", "epochs"),
    [
        ("alexnet", 128, 0.01, 5e-4, 90),
        ("vgg16", 256, 0.01, 5e-4, 74),
        ("resnet50", 256, 0.1, 1e-4, round(600_000 * 256 / 1_281_167)),
        ("resnet20", 128, 0.1, 1e-4, round(64_000 * 128 / 45_000)),
        ("nin_cifar10", 128, 0.1, 1e-4, round(120_000 * 128 / 50_000)),
        ("mobilenet_v2", 96, 0.045, 4e-5, 300),
        ("efficientnet_b0", 256, 0.016, 1e-5, 350),
    ],
)
def test_the_papers_numbers_are_theirs(network: str, batch: int, lr: float, weight_decay: float, epochs: int) -> None:
    recipe = recipe_for(network, "paper")
    assert (recipe.batch, recipe.lr, recipe.weight_decay, recipe.epochs) == (batch, lr, weight_decay, epochs)


def test_the_rates_of_the_papers_fall_where_they_say() -> None:
    def at(network: str, epoch: float) -> float:
        recipe = recipe_for(network, "paper")
        return recipe.lr * rate(recipe, round(epoch * 1000), 1000)

    # ResNet for CIFAR-10: 0.1, 0.01 from step 32,000 of 64,000, 0.001 from 48,000
    assert [at("resnet56", e) for e in (1, 90, 92, 136, 137)] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])
    # MobileNetV2: 0.98 an epoch; MobileNet in slim: 0.94 every 2.5; EfficientNet: 0.97 every 2.4 after a warm-up of 5
    assert at("mobilenet_v2", 100) == pytest.approx(0.045 * 0.98**100)
    assert at("mobilenet_v1", 25.1) == pytest.approx(0.045 * 0.94**10)
    assert at("efficientnet_b0", 2.4) == pytest.approx(0.016 * 2.4 / 5, rel=1e-3)
    assert at("efficientnet_b0", 24.1) == pytest.approx(0.016 * 0.97**10)
    # LeNet-5: 5, 2, 1, 0.5 and 0.1 parts after 0, 2, 5, 8 and 12 passes
    assert [at("lenet5", e) / at("lenet5", 0) for e in (2, 5, 8, 12)] == pytest.approx([0.4, 0.2, 0.1, 0.02])


# Facts of the papers: networks.*.recipe.augmentation, and what each strength comes to at the paper's own size.
def test_the_papers_change_their_images_as_they_say() -> None:
    def of(network: str) -> Augmentation:
        return recipe_for(network, "paper").augmentation

    assert of("alexnet").shift * 224 == pytest.approx(16)  # 224 of 256: 16 either way
    assert (of("alexnet").mirror, of("alexnet").pca, of("alexnet").area) == (0.5, 0.1, None)
    assert of("resnet56") == Augmentation(mirror=0.5, shift=0.125, border="black")  # 4 of 32
    assert of("resnet110") == of("resnet56")
    for network, largest in (("vgg16", 512), ("resnet50", 480)):
        assert of(network) == Augmentation(mirror=0.5, zoom=(256 / 224, largest / 224), pca=0.1)
    for network in ("googlenet", "efficientnet_b0", "mobilenet_v2"):
        assert (of(network).area, of(network).ratio, of(network).mirror) == ((0.08, 1.0), (3 / 4, 4 / 3), 0.5)
    assert of("googlenet").brightness > 0 == of("efficientnet_b0").brightness
    assert of("nin_cifar10").shift * 32 == 4
    assert of("lenet5_1998") == Augmentation()


def test_today_images_are_changed_by_their_size() -> None:
    def of(network: str, resolution: int | None = None) -> Augmentation:
        return recipe_for(network, "modern", resolution).augmentation

    assert of("resnet20") == of("resnet18", 64) == Augmentation(mirror=0.5, shift=0.125)
    assert of("resnet18") == of("resnet20", 65) == of("vgg16") == Augmentation(mirror=0.5, area=(0.08, 1.0))
    assert of("lenet5") == usual_augmentation("lenet5_1998")
    assert of("lenet5").shift * 28 == pytest.approx(2)
    assert of("lenet5").mirror == 0.0  # a mirrored character is another one


def test_networks_without_norm_are_known() -> None:
    from torch.nn.modules.batchnorm import _BatchNorm

    from convwise.cost import sketch

    for network in networks.names():
        with sketch():
            normed = any(isinstance(module, _BatchNorm) for module in networks.create(network).modules())
        assert normed == (network not in WITHOUT_NORM and not network.startswith("lenet5")), network


def test_a_recipe_that_does_not_exist_is_refused() -> None:
    text = "recipe must be one of modern, paper, a file.toml, got 'papers'; did you mean 'paper'?"
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        recipe_for("lenet5", "papers")


def test_todays_recipe_of_lenet_is_the_measured_one() -> None:
    assert recipe_for("lenet5", "modern") == Recipe(augmentation=Augmentation(shift=2 / 28, rotation=10.0))

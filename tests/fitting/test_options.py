import re
from dataclasses import replace
from typing import Any

import pytest

from convwise.data.augmentation import Augmentation
from convwise.data.threads import usable_cpus
from convwise.errors import UsageError
from convwise.fitting import Options
from convwise.training.recipe import Recipe
from convwise.training.recipes import recipe_for, usual_augmentation

NO_EFFECT = (
    "has no effect: no candidate is trained by epochs; leave it out, or add transfer 'partial', 'full', 'auto' or "
    "'none'"
)
MIXED = Recipe(augmentation=Augmentation(mixup=0.2, cutmix=1.0, erasing=0.5))
VIEWS_UNUSED = (
    "views has no effect: they are cached of augmented images where a part is frozen, with transfer 'partial', and "
    "with 'head' where augment asks for it; leave it out of the recipe"
)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"network": ("lenet6",)},
         ("network must be one of the 54 that `convwise networks` lists, got 'lenet6'; "
          "did you mean 'lenet5' or 'alexnet' or 'resnet56'?")),
        ({"network": ("lenet5",), "offline": True},
         "offline has no effect: no candidate needs published weights; leave it out"),
        ({"network": ("resnet18", "resnet34"), "weights": "x"},
         "weights are for one network, got 2: resnet18, resnet34; leave weights out, or name one network"),
        ({"transfer": "none", "weights": "x"},
         "weights have no effect with transfer 'none', which trains from scratch; leave one of the two out"),
        ({"network": ()}, "network must be one or more different names, got none"),
        ({"network": ("lenet5", "lenet5")}, "network must be one or more different names, got lenet5, lenet5"),
        ({"transfer": "heads"},
         "transfer must be one of head, partial, full, auto, none, got 'heads'; did you mean 'head'?"),
        ({"resolution": 0}, "resolution must be a number above 0, got 0"),
        ({"threads": -1}, "threads must be a number above 0, got -1"),
        ({"max_macs": 0}, "max-macs must be a number above 0, got 0"),
        ({"max_ms": float("nan")}, "max-ms must be a number above 0, got nan"),
        ({"max_mb": float("inf")}, "max-mb must be a number above 0, got inf"),
        ({"network": ("lenet5",), "epochs": 0}, "epochs must be a number above 0, got 0"),
        ({"network": ("lenet5",), "time_limit": -0.5}, "time-limit must be a number above 0, got -0.5"),
        ({"seed": -1}, "seed must be at least 0 and below 2^63, got -1"),
        ({"seed": 2**63}, "seed must be at least 0 and below 2^63, got 9223372036854775808"),
        ({"split_seed": -2}, "split-seed must be at least 0 and below 2^63, got -2"),
        ({"network": ("efficientnet_lite0", "lenet5"), "transfer": "head"},
         "transfer 'head' needs published weights, and lenet5 has none; use transfer 'none' for it"),
        ({"epochs": 3}, f"epochs {NO_EFFECT}"),
        ({"time_limit": 3}, f"time-limit {NO_EFFECT}"),
        ({"recipe": "modern"}, f"recipe {NO_EFFECT}"),
        ({"augment": False}, f"no-augment {NO_EFFECT}"),
        ({"device": "cpu"}, f"device {NO_EFFECT}"),
        ({"network": ("lenet5",), "device": "cudaa"},
         "device must be one of auto, cpu, cuda, got 'cudaa'; did you mean 'cuda'?"),
        ({"network": ("lenet5",), "recipe": "paper98"},
         "recipe must be one of modern, paper, a file.toml, got 'paper98'; did you mean 'paper'?"),
        ({"network": ("lenet5",), "recipe": Recipe(aux_weight=0.1)},
         "aux_weight has no effect: lenet5 has no auxiliary heads; leave it out of the recipe"),
        ({"network": ("lenet5",), "recipe": Recipe(aux_weight=0.3)},  # the default, but given
         "aux_weight has no effect: lenet5 has no auxiliary heads; leave it out of the recipe"),
        ({"network": ("resnet20", "lenet5"), "recipe": Recipe(augmentation=Augmentation(saturation=0.4))},
         "augmentation saturation has no effect: lenet5 sees grey images; leave it out of the recipe"),
        ({"network": ("lenet5",), "recipe": Recipe(augmentation=Augmentation(hue=9.0))},
         "augmentation hue has no effect: lenet5 sees grey images; leave it out of the recipe"),
        ({"network": ("lenet5",), "recipe": Recipe(augmentation=Augmentation(pca=0.1, pca_colours="own"))},
         "augmentation pca_colours 'own' has no effect: lenet5 sees grey images; leave it out of the recipe"),
        ({"network": ("lenet5",), "augment": True},
         "augment has no effect: the recipe says already how images are changed; leave it out"),
        ({"network": ("lenet5",), "recipe": Recipe(), "augment": False},
         "no-augment has no effect: the recipe changes no image; leave it out"),
        ({"network": ("googlenet_bn",), "transfer": "full", "recipe": Recipe(aux_weight=0.1)},
         ("aux_weight has no effect: with transfer 'full' googlenet_bn is trained without its auxiliary heads; leave "
          "it out of the recipe")),
        ({"network": ("lenet5",), "transfer": "partial"},
         "transfer 'partial' needs published weights, and lenet5 has none; use transfer 'none' for it"),
        ({"network": ("lenet5",), "transfer": "full"},
         "transfer 'full' needs published weights, and lenet5 has none; use transfer 'none' for it"),
        ({"transfer": "partial", "freeze": ""}, "freeze must not be empty; leave it out for none"),
        ({"transfer": "partial", "rear": ""}, "rear must not be empty; leave it out for none"),
        ({"network": ("lenet5",), "transfer": "auto", "freeze": "stage1"},
         "freeze has no effect with transfer 'none'; leave it out, or take transfer 'partial' or 'auto'"),
        ({"freeze": "stage3"},
         "freeze has no effect with transfer 'head'; leave it out, or take transfer 'partial' or 'auto'"),
        ({"transfer": "full", "freeze": "stage3"},
         "freeze has no effect with transfer 'full'; leave it out, or take transfer 'partial' or 'auto'"),
        ({"transfer": "none", "reset_from": "stage3"},
         "reset-from has no effect with transfer 'none'; leave it out, or take transfer 'partial' or 'full'"),
        ({"transfer": "full", "rear": "mine:rear"},
         "rear has no effect with transfer 'full'; leave it out, or take transfer 'partial'"),
        ({"transfer": "partial", "rear": "mine:rear", "reset_from": "stage3"},
         "rear stands in place of the layers that reset-from would draw anew; leave one of them out"),
        ({"transfer": "partial", "recipe": "paper"},
         "recipe 'paper' trains from scratch, and transfer is 'partial'; leave it out"),
        ({"transfer": "full", "recipe": "modem"},
         "recipe must be one of modern, a file.toml, got 'modem'; did you mean 'modern'?"),
        ({"transfer": "partial", "recipe": MIXED},
         ("mixup and cutmix cannot be had with transfer 'partial', whose frozen part sees each image alone; leave it "
          "out of the recipe's [augmentation]")),
        ({"transfer": "full", "recipe": Recipe(views=6)}, VIEWS_UNUSED),
        ({"transfer": "partial", "recipe": Recipe(views=6)}, VIEWS_UNUSED),
        ({"network": ("lenet5",), "recipe": Recipe(views=6)}, VIEWS_UNUSED),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        Options(**fields)


def test_how_a_candidate_is_trained_follows_from_its_weights() -> None:
    assert Options().transfer_of("efficientnet_lite0") == "head"
    assert Options().transfer_of("lenet5") == "none"
    assert Options(transfer="none").transfer_of("efficientnet_lite0") == "none"


def test_augment_counts_where_one_recipe_leaves_the_images_as_they_are() -> None:
    both = Options(network=("lenet5", "resnet20"), transfer="none", recipe="paper", augment=True)
    assert both.recipe_of("lenet5").augmentation == usual_augmentation("lenet5")
    assert both.recipe_of("resnet20") == recipe_for("resnet20", "paper")


def test_epochs_count_where_one_candidate_is_trained() -> None:
    assert Options(network=("efficientnet_lite0", "lenet5"), epochs=3).epochs == 3
    assert Options(transfer="none", time_limit=3).time_limit == 3


def test_the_record_has_the_number_of_threads() -> None:
    assert Options().to_json()["threads"] == Options().thread_count == usable_cpus()
    assert Options(threads=7).to_json()["threads"] == Options(threads=7).thread_count == 7
    assert Options().to_json()["network"] == ["efficientnet_lite0"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, ""),
        ({"seed": 4}, "seed 4, now 0"),
        ({"threads": 3}, "threads 3, now 2"),
        ({"split_seed": 1, "network": ["lenet5"]}, "network ['lenet5'], now ['efficientnet_lite0']"),
        ({"max_ms": 1.5}, "max-ms 1.5, now None"),
    ],
)
def test_the_first_difference_is_named(changes: dict[str, Any], text: str) -> None:
    options = Options(threads=2)
    assert options.difference(options.to_json() | changes) == text


def test_options_move_what_a_recipe_says() -> None:
    recipe = Recipe(seed=5, time_limit=9.0, epochs=10, schedule="steps", drops=((5, 0.1),))
    assert Options(network=("lenet5",), recipe=recipe).recipe_of("lenet5") == recipe
    moved = Options(network=("lenet5",), recipe=recipe, seed=2, time_limit=3.0, epochs=20, balance=True)
    expected = replace(recipe, seed=2, time_limit=3.0, epochs=20, balance=True, drops=((10, 0.1),))
    assert moved.recipe_of("lenet5") == expected
    assert Options(network=("lenet5",), epochs=3, augment=False).recipe_of("lenet5") == Recipe(epochs=3)


def test_images_are_changed_as_the_recipe_says_or_as_was_asked() -> None:
    def of(network: str, **fields: Any) -> Augmentation:
        return Options(network=(network,), transfer="none", **fields).recipe_of(network).augmentation

    moved = Augmentation(mirror=0.5, shift=0.125)
    mine = Recipe(augmentation=Augmentation(hue=10.0))
    assert of("resnet20") == moved
    assert of("resnet20", augment=False) == of("resnet20", augment=False, recipe=mine) == Augmentation()
    assert of("resnet20", recipe=mine) == mine.augmentation
    assert of("resnet20", recipe=Recipe()) == Augmentation()  # what a file leaves out is off
    assert of("resnet20", recipe=Recipe(), augment=True) == moved
    assert of("resnet20", resolution=128).area == of("resnet20", recipe=Recipe(), augment=True, resolution=128).area
    assert of("resnet20", resolution=128).area == (0.08, 1.0)
    assert of("lenet5").rotation > 0 == of("lenet5", augment=False).rotation


def test_what_a_recipe_asks_of_a_frozen_part_passes_where_it_can_be_had() -> None:
    moved = Recipe(views=6, augmentation=Augmentation(mirror=0.5, erasing=0.5))
    assert Options(transfer="partial", recipe=moved).recipe_of("efficientnet_lite0", "partial") == moved
    assert Options(transfer="auto", recipe=moved).recipe_of("efficientnet_lite0", "full") == moved
    assert Options(transfer="full", recipe=MIXED).recipe_of("efficientnet_lite0", "full") == MIXED
    without = Options(transfer="partial", recipe=MIXED, augment=False)
    assert without.recipe_of("efficientnet_lite0", "partial") == replace(MIXED, augmentation=Augmentation())


def test_a_head_sees_views_where_that_is_asked_for() -> None:
    assert Options(augment=True).recipe_of("efficientnet_lite0", "head").augmentation.area == (0.7, 1.0)
    moved = Recipe(views=6, augmentation=Augmentation(mirror=0.5))
    assert Options(transfer="auto", augment=True, recipe=moved).recipe_of("efficientnet_lite0", "head") == moved
    with pytest.raises(UsageError, match=r"^mixup and cutmix cannot be had with transfer 'head', whose frozen part "):
        Options(network=("efficientnet_lite0", "lenet5"), augment=True, recipe=MIXED)


def test_training_on_has_a_recipe_of_its_own() -> None:
    recipe = Options(transfer="partial").recipe_of("efficientnet_lite0", "partial")
    assert recipe == Options(transfer="full", recipe="modern").recipe_of("efficientnet_lite0", "full")
    assert recipe != Options(transfer="none").recipe_of("efficientnet_lite0")
    assert recipe.layer_decay < 1
    assert recipe.augmentation.area == (0.7, 1.0)
    small = Options(transfer="partial", resolution=64).recipe_of("efficientnet_lite0", "partial")
    assert small.augmentation == Augmentation(mirror=0.5, shift=0.125)


def test_a_recipe_is_in_the_record_and_its_difference_is_named() -> None:
    options = Options(network=("lenet5",), recipe=Recipe(lr=0.1))
    assert options.difference(options.to_json()) == ""
    other = Options(network=("lenet5",), recipe=Recipe(lr=0.2))
    assert other.difference(options.to_json()) == "recipe with lr 0.1, now 0.2"
    named = Options(network=("lenet5",), recipe="paper")
    assert named.difference(Options(network=("lenet5",)).to_json()) == "recipe None, now 'paper'"


def test_the_softmax_layer_alone_takes_a_recipe_for_its_views() -> None:
    recipe = Recipe(views=2, augmentation=Augmentation(mirror=0.5))
    options = Options(transfer="head", augment=True, recipe=recipe)
    assert options.recipe_of("efficientnet_lite0", "head").views == 2
    with pytest.raises(UsageError, match=r"^recipe has no effect: no candidate is trained by epochs; "):
        Options(transfer="head", recipe=recipe)

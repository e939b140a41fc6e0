import json
import re
import tomllib
from typing import Any

import pytest

from convwise.data.augmentation import OPERATIONS, USUAL, Augmentation
from convwise.data.augmentation.record import NEEDS
from convwise.errors import UsageError


def test_a_record_survives_json_and_toml() -> None:
    record = Augmentation(
        mirror=0.5, area=(0.2, 0.9), ratio=(0.5, 2.0), rotation=3.5, warp=0.02, warp_nodes=7, border="black", pca=0.2,
        pca_colours=((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), (7.0, 8.0, 9.0)), mixup=0.4,
    )  # fmt: skip
    assert Augmentation.from_json(json.loads(json.dumps(record.to_json()))) == record
    text = "\n".join(f"{name} = {json.dumps(value)}" for name, value in record.to_json().items())
    assert Augmentation.from_json(tomllib.loads(text)) == record


def test_what_is_left_out_is_off() -> None:
    assert Augmentation.from_json({}) == Augmentation()
    assert Augmentation.from_json({"mirror": 0.5}) == Augmentation(mirror=0.5)
    assert "area" not in Augmentation().to_json()


def test_every_operation_has_a_usual_strength_that_turns_it_on() -> None:
    assert list(USUAL) == list(OPERATIONS)
    for name in OPERATIONS:
        record = Augmentation.usual(name)
        assert record != Augmentation()
        assert getattr(record, name) == USUAL[name]
    assert Augmentation.usual("channel_shift").channel_shift == 20


def test_mixing_is_known() -> None:
    assert not Augmentation(erasing=0.5).mixes
    assert Augmentation(mixup=0.1).mixes
    assert Augmentation(cutmix=0.1).mixes


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"mirror": 1.5}, "augmentation mirror must be a probability in [0, 1], got 1.5"),
        ({"mirror": True}, "augmentation mirror must be a probability in [0, 1], got True"),
        ({"mirror": float("nan")}, "augmentation mirror must be a probability in [0, 1], got nan"),
        ({"shift": -0.1}, "augmentation shift must be a share of the crop's side in [0, 1], got -0.1"),
        ({"rotation": 200}, "augmentation rotation must be a number of degrees in [0, 180], got 200"),
        ({"rotation": "15"}, "augmentation rotation must be a number of degrees in [0, 180], got '15'"),
        ({"shear": 61}, "augmentation shear must be a number of degrees in [0, 60], got 61"),
        ({"warp": 0.11}, "augmentation warp must be a share of the side in [0, 0.1], got 0.11"),
        ({"warp_nodes": 2}, "augmentation warp_nodes must be a whole number of nodes a side in [3, 16], got 2"),
        ({"warp_nodes": 4.5}, "augmentation warp_nodes must be a whole number of nodes a side in [3, 16], got 4.5"),
        ({"brightness": 2}, "augmentation brightness must be a share in [0, 1], got 2"),
        ({"contrast": 2}, "augmentation contrast must be a share in [0, 1], got 2"),
        ({"saturation": -1}, "augmentation saturation must be a share in [0, 1], got -1"),
        ({"hue": 181}, "augmentation hue must be a number of degrees in [0, 180], got 181"),
        ({"channel_shift": 256}, "augmentation channel_shift must be a number of levels in [0, 255], got 256"),
        ({"pca": 3}, "augmentation pca must be a standard deviation in [0, 1], got 3"),
        ({"erasing": -1}, "augmentation erasing must be a probability in [0, 1], got -1"),
        ({"mixup": 11}, "augmentation mixup must be Beta's parameter in [0, 10], got 11"),
        ({"cutmix": None}, "augmentation cutmix must be Beta's parameter in [0, 10], got None"),
        (
            {"area": (0.5, 0.1)},
            (
                "augmentation area must be two numbers, shares of the image's area, rising within [0.001, 1], "
                "got (0.5, 0.1)"
            ),
        ),
        (
            {"area": 0.5},
            "augmentation area must be two numbers, shares of the image's area, rising within [0.001, 1], got 0.5",
        ),
        (
            {"ratio": (0, 1)},
            "augmentation ratio must be two numbers, width over height, rising within [0.1, 10], got (0, 1)",
        ),
        (
            {"erased_area": (0.1, 1.1)},
            (
                "augmentation erased_area must be two numbers, shares of the image's area, rising within [0.001, 1], "
                "got (0.1, 1.1)"
            ),
        ),
        ({"border": "wrap"}, "augmentation border must be one of reflect, black, got 'wrap'"),
        ({"border": "blak"}, "augmentation border must be one of reflect, black, got 'blak'; did you mean 'black'?"),
        (
            {"pca_colours": ((1.0, 2.0), (3.0, 4.0))},
            (
                "augmentation pca_colours must be 'own' or 3 colours of 3 levels in [-255, 255], "
                "got ((1.0, 2.0), (3.0, 4.0))"
            ),
        ),
        (
            {"area": (0.5, 1), "shift": 0.1},
            "augmentation area and shift each say where the crop is; set one of area, zoom and shift",
        ),
        (
            {"area": (0.5, 1), "zoom": (1, 2)},
            "augmentation area and zoom each say where the crop is; set one of area, zoom and shift",
        ),
        (
            {"zoom": (0.5, 2)},
            (
                "augmentation zoom must be two numbers, the image's shorter side in sides of the crop, rising within "
                "[1, 100], got (0.5, 2)"
            ),
        ),
        (
            {"warp": 0.05, "warp_nodes": 8},
            "augmentation warp must be at most 0.03 with 8 nodes a side, so that no image folds over, got 0.05",
        ),
    ],
)
def test_a_field_that_cannot_be_used_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        Augmentation(**fields)


WITHOUT_EFFECT = [  # given, needed
    ({"ratio": [0.5, 2.0]}, "area"),
    ({"zoom": [1.0, 2.0], "ratio": [0.5, 2.0]}, "area"),
    ({"warp_nodes": 7}, "warp"),
    ({"pca_colours": "own"}, "pca"),
    ({"erased_area": [0.1, 0.2], "mirror": 0.5}, "erasing"),
    ({"border": "black", "area": [0.1, 1.0]}, "shift or rotation or shear or warp"),
]


@pytest.mark.parametrize(("record", "needed"), WITHOUT_EFFECT)
def test_what_has_no_effect_is_refused(record: dict[str, Any], needed: str) -> None:
    name = next(name for name in record if name in NEEDS)
    values: dict[str, Any] = {field: tuple(v) if isinstance(v, list) else v for field, v in record.items()}
    text = f"^augmentation {name} has no effect without {needed}; leave it out$"
    with pytest.raises(UsageError, match=text):
        Augmentation.from_json(record)
    with pytest.raises(UsageError, match=text):
        Augmentation(**values)


@pytest.mark.parametrize("name", NEEDS)
def test_a_default_that_is_given_and_has_no_effect_is_refused_too(name: str) -> None:
    default = getattr(Augmentation(), name)
    assert Augmentation(**{name: default}) == Augmentation()
    with pytest.raises(UsageError, match=f"^augmentation {name} has no effect without "):
        Augmentation.from_json({name: default})
    assert name not in Augmentation().to_json()
    for needed in NEEDS[name]:
        given = {needed: USUAL[needed], name: default}
        assert Augmentation.from_json(given) == Augmentation.usual(needed)
        assert name in Augmentation.usual(needed).to_json()


def test_an_unknown_field_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"^augmentation field must be one of .*, got 'rotate'; did you mean 'rota"):
        Augmentation.from_json({"rotate": 3})


def test_an_unknown_operation_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        UsageError, match=r"^augmentation operation must be one of area, .*, got 'miror'; did you mean 'mirror'\?$"
    ):
        Augmentation.usual("miror")

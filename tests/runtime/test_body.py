from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convwise import networks, weights
from convwise.data.preprocessing import Preprocessing
from convwise.runtime import body as body_module
from convwise.runtime.body import prepare_body

found = weights.published("efficientnet_lite0")
assert found is not None
LITE0 = found
SMALL: Preprocessing = replace(LITE0.preprocessing, resolution=64)


@pytest.mark.usefixtures("shared_cache")
def test_a_body_is_the_network_without_its_last_layer() -> None:
    body = prepare_body(LITE0, SMALL)
    whole = networks.create("efficientnet_lite0")
    names = {name for name in whole.state_dict() if not name.startswith("head.3.")}
    assert body.last_layer == "head.3"
    assert body.weights().keys() == names
    assert body.width == 1280
    assert body.params == sum(p.numel() for p in whole.parameters()) - 1281 * 1000
    frozen = body.frozen
    assert frozen.outputs == (body.feature_map, "features")
    pixels = np.zeros((2, *SMALL.shape), np.uint8)
    assert frozen.run(pixels, ["features"])[0].shape == (2, 1280)


@pytest.mark.usefixtures("shared_cache")
def test_a_body_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare_body(LITE0, SMALL)
    monkeypatch.setattr(body_module, "_make", lambda *_: pytest.fail("made again"))
    assert prepare_body(LITE0, SMALL) == first


def folder(cache: Path) -> Path:
    (only,) = (cache / "graphs").iterdir()
    return only


@pytest.mark.parametrize("damage", ["byte", "record", "gone"])
def test_a_damaged_body_is_made_again(cache: Path, damage: str) -> None:
    tiny = replace(SMALL, resolution=32)
    first = prepare_body(LITE0, tiny)
    files = sorted(folder(cache).iterdir())
    for file in files:
        data = bytearray(file.read_bytes())
        if damage == "gone":
            file.unlink()
        elif (damage == "record") == (file.suffix == ".json"):
            data[len(data) // 2] ^= 1
            file.write_bytes(data)
    again = prepare_body(LITE0, tiny)
    assert again.graph_sha256 == first.graph_sha256
    assert sorted(folder(cache).iterdir()) == files  # nothing is left aside
    assert again.frozen.outputs == (again.feature_map, "features")


def test_another_preprocessing_has_another_body(cache: Path) -> None:
    one = prepare_body(LITE0, replace(SMALL, resolution=32))
    other = prepare_body(LITE0, replace(SMALL, resolution=33))
    assert one.graph_sha256 != other.graph_sha256
    assert one.macs < other.macs
    assert len(list((cache / "graphs").iterdir())) == 2

"""Heat maps: exact where the head is pool and linear, Grad-CAM elsewhere, and both find what was planted."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convwise import load
from convwise.classifier import Classifier, Prediction
from convwise.data.preprocessing import Preprocessing
from convwise.errors import MachineError
from convwise.evaluation.heat_maps import HeatMap, HeatMaps, draw
from convwise.evaluation.overlay import colours, overlay
from convwise.fitting import Options, Run, fit

SIDE = 160  # five positions a side at a stride of 32


def noise(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(60, 120, (SIDE, SIDE, 3), np.uint8)


def planted(seed: int, row: int, column: int) -> NDArray[np.uint8]:
    """Noise with a chequered patch of two by two positions, the first at (row, column) of five by five."""
    pixels = noise(seed)
    y, x = np.mgrid[:64, :64]
    board = np.where(((y // 8 + x // 8) % 2)[..., None], [250, 240, 30], [200, 20, 20])
    pixels[32 * row : 32 * row + 64, 32 * column : 32 * column + 64] = board
    return pixels


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patches")
    for i in range(16):
        for name, pixels in (("plain", noise(i)), ("patch", planted(100 + i, i % 4, i // 4))):
            (folder / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def on_patches(patches: Path, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVWISE_CACHE", str(tmp_path_factory.mktemp("cache")))
        out = tmp_path_factory.mktemp("runs") / "patches"
        fit(patches, Options(resolution=SIDE, threads=2), out=out)
    return load(out)


def check_found(heat: NDArray[np.float32], row: int, column: int) -> None:
    """The heat is on the patch: its centre within a position, and on those four more than twice what chance gives."""
    y, x = np.mgrid[:5, :5]
    centre = (heat * y).sum() / heat.sum(), (heat * x).sum() / heat.sum()
    assert np.hypot(centre[0] - row - 0.5, centre[1] - column - 0.5) < 1
    assert heat[row : row + 2, column : column + 2].sum() / heat.sum() > 2 * 4 / 25


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 3), (3, 1)])
def test_a_planted_patch_is_found_exactly_and_by_gradients(on_patches: Classifier, row: int, column: int) -> None:
    shown = planted(999, row, column)
    maps, label = HeatMaps(on_patches), on_patches.classes.index("patch")
    found = maps.of(shown, label)
    assert found.exact
    check_found(found.heat, row, column)
    check_found(maps._grad_cam(shown, label), row, column)


def test_an_exact_map_sums_to_the_logit_of_its_class(head_run: Run) -> None:
    classifier = load(head_run.path)
    pixels = np.random.default_rng(5).integers(0, 256, classifier.preprocessing.shape, np.uint8)
    logits, maps = classifier.logits(pixels[None])[0], HeatMaps(classifier)
    for label, logit in enumerate(logits):
        found = maps.of(pixels, label)
        assert found.exact
        assert found.values.shape == (2, 2)  # 64 pixels at a stride of 32
        assert float(found.values.sum()) == pytest.approx(float(logit), abs=1e-4)


def test_on_pool_and_linear_grad_cam_is_the_exact_map_without_bias_and_negatives(head_run: Run) -> None:
    classifier = load(head_run.path)
    pixels = np.random.default_rng(6).integers(0, 256, classifier.preprocessing.shape, np.uint8)
    maps = HeatMaps(classifier)
    for label in range(len(classifier.classes)):
        layer = maps._last_layer
        assert layer is not None
        terms = maps.of(pixels, label).values - layer[1][label] / 4  # four positions share the bias
        np.testing.assert_allclose(maps._grad_cam(pixels, label), np.maximum(terms, 0), atol=1e-4)


def test_another_head_gets_grad_cam_on_a_map_that_has_places(lenet_run: Run) -> None:
    classifier = load(lenet_run.path)
    pixels = np.random.default_rng(7).integers(0, 256, classifier.preprocessing.shape, np.uint8)
    found = HeatMaps(classifier).of(pixels, 0)
    assert not found.exact
    assert found.values.shape == (5, 5)  # S4: C5, the last, has a single position
    assert found.values.min() >= 0


def test_a_map_that_speaks_against_the_class_has_no_heat() -> None:
    assert HeatMap(np.array([[-1, -2]], np.float32), exact=True).heat.tolist() == [[0, 0]]
    assert HeatMap(np.array([[-1, 2, 1]], np.float32), exact=True).heat.tolist() == [[0, 1, 0.5]]


def test_colours_brighten_all_along() -> None:
    linear = (colours() / 255) ** 2.2
    assert (np.diff(linear @ [0.2126, 0.7152, 0.0722]) > 0).all()


@pytest.mark.parametrize(
    ("fit_rule", "seen"),
    [("crop", (75, 25, 225, 175)), ("pad", (0, 0, 300, 200)), ("squash", (0, 0, 300, 200))],
)  # fmt: skip
def test_heat_lies_where_the_network_looked(fit_rule: str, seen: tuple[int, int, int, int]) -> None:
    preprocessing = Preprocessing(fit=fit_rule, crop=0.75, resolution=64)  # type: ignore[arg-type]
    photo = Image.new("RGB", (300, 200), (200, 200, 200))
    pixels = np.asarray(overlay(photo, np.zeros((4, 4), np.float32), preprocessing)).astype(int)
    inside = np.zeros((200, 300), bool)
    inside[seen[1] : seen[3], seen[0] : seen[2]] = True
    assert set(pixels[inside].ravel()) == {160}  # 0.8 of 200
    assert set(pixels[~inside].ravel()) <= {90}  # 0.45 of 200


def test_heat_in_a_corner_colours_that_corner() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 1
    photo = Image.new("RGB", (400, 400), (128, 128, 128))
    pixels = np.asarray(overlay(photo, heat, Preprocessing(crop=1.0, resolution=64))).astype(int)
    colour = np.ptp(pixels, axis=2)
    assert colour[50, 350] > 50
    assert colour[300:, :100].max() == 0


def test_pictures_of_one_name_are_numbered_and_errors_have_none(head_run: Run, photos: Path, tmp_path: Path) -> None:
    classifier = load(head_run.path)
    inputs = [photos / "blue" / "img0.jpg", "absent.jpg", photos / "red" / "img0.jpg"]
    predictions = classifier.predict(list(map(str, inputs)))
    rows = list(draw(classifier, predictions, tmp_path, threads=2))
    assert [path and path.name for _, path in rows] == ["img0.png", None, "img0-2.png"]
    assert [row for row, _ in rows] == predictions
    with Image.open(photos / "blue" / "img0.jpg") as photo, Image.open(tmp_path / "img0.png") as picture:
        assert picture.size == photo.size


def test_a_photo_that_goes_away_and_a_folder_that_goes_away_are_told(
    head_run: Run, photos: Path, tmp_path: Path
) -> None:
    classifier = load(head_run.path)
    gone = Prediction(str(tmp_path / "gone.jpg"), classifier.classes[0], 0.9)
    ((row, path),) = draw(classifier, [gone], tmp_path, threads=1)
    assert path is None
    assert row.error.startswith("no heat map: [Errno 2]")
    (there,) = classifier.predict(str(photos / "blue" / "img0.jpg"))
    with pytest.raises(
        MachineError, match=r"^heat map '.*img0\.png' could not be written: .*; those before it stay\. "
    ):
        list(draw(classifier, [there], tmp_path / "no folder", threads=1))


def test_the_worst_mistakes_of_a_page_have_their_heat(lenet_run: Run) -> None:
    metrics = json.loads((lenet_run.path / "metrics.json").read_text())
    page = (lenet_run.path / "report.html").read_text()
    wrong = round((1 - metrics["top1"]) * metrics["n"])
    assert page.count("where in it ") == min(wrong, 24)

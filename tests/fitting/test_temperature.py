"""The temperature of a run: fitted on what chose, never on what is measured, and applied wherever it predicts."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convwise.fitting import Options, Run, fit
from convwise.metrics import softmax

HEAD = Options(resolution=64, threads=2)
LENET = Options(network=("lenet5",), epochs=2, threads=2)


def calibration(run: Run) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((run.path / "metrics.json").read_text())
    assert record["calibration"]["nll"] == pytest.approx(record["nll"], abs=1e-6)
    found: dict[str, Any] = record["calibration"]
    return found


@pytest.mark.parametrize(
    ("name", "where", "n"),
    [
        ("head_run", "5-fold cross-validation inside `train`", 24),
        ("lenet_run", "a tenth of `train`, held out by hash", None),
    ],
)
def test_it_stands_in_the_classifier_and_beside_the_figures(
    name: str, where: str, n: int | None, request: pytest.FixtureRequest
) -> None:
    run: Run = request.getfixturevalue(name)
    found = calibration(run)
    assert run.classifier.temperature == found["temperature"] != 1
    assert found["fitted_on"] == where
    assert found["fitted_on_n"] == (n or len(run.classifier.provenance.chosen_on))
    assert sum(row["n"] for row in found["bins"]) == run.result["n"]
    assert 'id="calibration"' in run.report.read_text()


@pytest.mark.parametrize("name", ["head_run", "lenet_run"])
def test_predictions_are_logits_divided_by_it(name: str, photos: Path, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(name)
    classifier = run.classifier
    path = next((photos / "red").iterdir())
    (prediction,) = classifier.predict(path)
    logits = classifier.logits(classifier._pixels(path)[None])
    expected = softmax(logits / np.float32(classifier.temperature))[0]
    np.testing.assert_allclose(list(prediction.probs.values()), expected, atol=1e-6)


@pytest.mark.usefixtures("shared_cache")
@pytest.mark.parametrize("options", [HEAD, LENET])
def test_what_is_measured_has_no_say_in_it(options: Options, split_photos: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(split_photos, tmp_path / "data"))
    first = fit(data, options, out=tmp_path / "a")
    shutil.move(data / "test" / "red", data / "test" / "x")  # every measured label is turned round
    shutil.move(data / "test" / "blue", data / "test" / "red")
    shutil.move(data / "test" / "x", data / "test" / "blue")
    second = fit(data, options, out=tmp_path / "b")
    assert second.classifier.temperature == first.classifier.temperature
    assert calibration(first)["fitted_on"] == "the `val` split"
    assert calibration(first)["fitted_on_n"] == 10
    assert calibration(second)["nll"] != calibration(first)["nll"]
    shutil.move(data / "val" / "red", data / "val" / "x")  # and now those of what chooses
    shutil.move(data / "val" / "blue", data / "val" / "red")
    shutil.move(data / "val" / "x", data / "val" / "blue")
    third = fit(data, options, out=tmp_path / "c")
    assert third.classifier.temperature != first.classifier.temperature

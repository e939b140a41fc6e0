"""The main job end to end, on small folders: what a run holds, and how it is chosen."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convwise.data.samples import list_folder
from convwise.evaluation import evaluate
from convwise.fitting import Options, Run, fit

from .runs import LENET, head, table, weights_hash


@pytest.mark.parametrize("name", ["lenet_run", "head_run"])
def test_a_run_has_all_its_files(name: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(name)
    assert {p.name for p in run.path.iterdir()} == {
        "run.json", "classifier", "samples.csv", "metrics.json", "history.csv", "per_class.csv", "confusion.csv",
        "predictions.csv", "report.html", *({"doubts.csv", "near_duplicates.csv"} if name == "head_run" else ()),
    }  # fmt: skip
    assert run.report.is_file()
    assert json.loads((run.path / "run.json").read_text()) == run.record
    assert Run.read(run.path).record == run.record


@pytest.mark.parametrize("name", ["lenet_run", "head_run"])
def test_the_files_agree_with_one_another(name: str, request: pytest.FixtureRequest, photos: Path) -> None:
    run: Run = request.getfixturevalue(name)
    result, metrics = run.result, json.loads((run.path / "metrics.json").read_text())
    predictions, samples = table(run, "predictions.csv"), table(run, "samples.csv")
    measured = [row for row in samples if row["split"] == "test"]
    assert [row["path"] for row in predictions] == [row["path"] for row in measured]
    assert [row["true"] for row in predictions] == [row["label"] for row in measured]
    assert len(samples) == 30
    assert [row["path"] for row in samples] == [s.path for s in list_folder(photos).samples]
    assert all(re.fullmatch("[0-9a-f]{64}", row["sha256"]) for row in samples)
    right = [row["true"] == row["label"] for row in predictions]
    assert result["n"] == metrics["n"] == len(right)
    assert result["top1"] == metrics["top1"] == pytest.approx(np.mean(right))
    assert (result["top1_low"], result["top1_high"]) == (metrics["top1_low"], metrics["top1_high"])
    for row in predictions:
        probs = json.loads(row["probs"])
        assert row["label"] == max(probs, key=lambda name: probs[name])
        assert float(row["prob"]) == pytest.approx(probs[row["label"]], rel=1e-4)
        assert float(row["prob_true"]) == pytest.approx(probs[row["true"]], rel=1e-4)
        assert sum(probs.values()) == pytest.approx(1, abs=1e-4)
    nll = np.mean([-np.log(max(float(row["prob_true"]), 1e-15)) for row in predictions])
    assert metrics["nll"] == pytest.approx(nll, rel=1e-3)
    classes = ["blue", "green", "red"]
    for i, row in enumerate(table(run, "confusion.csv")):
        counts = [sum(p["true"] == classes[i] and p["label"] == c for p in predictions) for c in classes]
        assert [row[c] for c in classes] == [str(n) for n in counts]
    for name, row, saved in zip(classes, table(run, "per_class.csv"), metrics["per_class"], strict=True):
        assert row["class"] == saved["class"] == name
        assert int(row["n"]) == saved["support"] == sum(p["true"] == name for p in predictions)
        recall = [p["label"] == name for p in predictions if p["true"] == name]
        assert float(row["recall"]) == saved["recall"] == pytest.approx(np.mean(recall))


def test_the_result_tells_what_the_classifier_is(head_run: Run, lenet_run: Run) -> None:
    for run, network, transfer in ((head_run, "efficientnet_lite0", "head"), (lenet_run, "lenet5", "none")):
        result, classifier = run.result, run.classifier
        assert (result["network"], result["transfer"], result["classes"]) == (network, transfer, 3)
        assert (result["macs"], result["params"]) == (classifier.macs, classifier.params)
        assert result["split"] == "test"
        assert result["latency_ms"] > 0
        assert result["skipped"] == 0
        assert "few" not in str(result["notes"])


def test_the_cost_of_a_head_is_that_of_the_whole_network(head_run: Run) -> None:
    from convwise.cost import analyze

    classifier = head_run.classifier
    counted = analyze(classifier.to_torch(), (3, 64, 64))
    assert (classifier.params, classifier.macs, classifier.weight_bytes) == counted.totals


def test_the_history_of_a_head_is_its_search_and_of_a_training_its_epochs(head_run: Run, lenet_run: Run) -> None:
    search, epochs = table(head_run, "history.csv"), table(lenet_run, "history.csv")
    assert [row["epoch"] for row in epochs] == ["1", "2"]
    strengths = [float(row["l2"]) for row in search]
    assert strengths == sorted(strengths, reverse=True)
    best = min(search, key=lambda row: float(row["choice_nll"]))
    how = head_run.record["chosen"]["how"]
    assert how == f"L2 strength {float(best['l2']):.2g} by 5-fold cross-validation inside `train`"
    chosen = min(epochs, key=lambda row: float(row["choice_nll"]))["epoch"]
    assert lenet_run.record["chosen"]["how"] == f"epoch {chosen} of 2 by a tenth of `train`, held out by hash"


def test_a_head_tells_colours_apart(head_run: Run) -> None:
    assert head_run.result["top1"] > 0.8
    metrics = json.loads((head_run.path / "metrics.json").read_text())
    assert metrics["cross_validation"]["value"] > 0.8


@pytest.mark.usefixtures("shared_cache")
def test_a_head_is_the_same_cold_warm_and_after_a_kill(
    in_tmp_path: Path, head_run: Run, photos: Path, session_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm = fit(photos, head(), out="warm")
    assert weights_hash(warm) == weights_hash(head_run)
    assert warm.result["top1"] == head_run.result["top1"]
    cold_cache = in_tmp_path / "cold"
    shutil.copytree(session_cache / "graphs", cold_cache / "graphs")  # the features are computed anew
    monkeypatch.setenv("CONVWISE_CACHE", str(cold_cache))

    def killed(items: Any, total: int, what: str) -> Any:
        assert total == 30
        assert what.startswith("features at 64 px")
        for i, item in enumerate(items):
            if i == 11:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        fit(photos, head(), out="killed", track=killed)
    assert weights_hash(fit(photos, head(), out="killed")) == weights_hash(head_run)


def test_the_split_seed_moves_the_split(in_tmp_path: Path, lenet_run: Run, photos: Path) -> None:
    del in_tmp_path
    other = fit(photos, Options(network=LENET, epochs=1, split_seed=1), out="other")
    assert {r["path"]: r["split"] for r in table(other, "samples.csv")} != {
        r["path"]: r["split"] for r in table(lenet_run, "samples.csv")
    }
    assert other.classifier.provenance.split_seed == 1
    assert evaluate(other.classifier, list_folder(photos), threads=1).trained_on == 0


@pytest.mark.usefixtures("shared_cache")
def test_of_two_candidates_the_better_is_chosen(in_tmp_path: Path, photos: Path) -> None:
    del in_tmp_path
    run = fit(
        photos,
        head(network=("lenet5", "efficientnet_lite0"), epochs=1, transfer=None),
        out="a",
    )
    history = table(run, "history.csv")
    assert {(row["network"], row["transfer"]) for row in history} == {
        ("lenet5", "none"),
        ("efficientnet_lite0", "head"),
    }
    assert run.record["chosen"]["network"] == run.result["network"] == "efficientnet_lite0"


@pytest.mark.usefixtures("shared_cache")
def test_val_chooses_where_there_are_three_splits(in_tmp_path: Path, split_photos: Path) -> None:
    del in_tmp_path
    for options, what in ((head(), "L2 strength"), (Options(network=LENET, epochs=1), "epoch 1 of 1")):
        run = fit(split_photos, options, out=options.network[0])
        assert run.record["chosen"]["how"].startswith(what)
        assert run.record["chosen"]["how"].endswith("by the `val` split")
        assert (run.result["split"], run.result["n"]) == ("test", 10)
        assert "cross_validation" not in json.loads((run.path / "metrics.json").read_text())
        seen = run.classifier.provenance
        samples = table(run, "samples.csv")
        assert all((row["sha256"] in seen.trained_on) == (row["split"] == "train") for row in samples)
        assert all((row["sha256"] in seen.chosen_on) == (row["split"] == "val") for row in samples)


@pytest.mark.usefixtures("shared_cache")
def test_the_penalty_is_chosen_on_val_and_fits_none_of_it(in_tmp_path: Path, split_photos: Path) -> None:
    """Turn the labels of `val` round: the strongest penalty is then the least wrong, and `test` is still told apart."""
    shutil.copytree(split_photos, in_tmp_path / "other")
    val = in_tmp_path / "other" / "val"
    for old, new in (("blue", "x"), ("red", "blue"), ("x", "red")):
        os.rename(val / old, val / new)
    run = fit(in_tmp_path / "other", head(), out="a")
    history = table(run, "history.csv")
    assert min(float(row["choice_nll"]) for row in history) == float(history[0]["choice_nll"]) > np.log(2)
    assert run.record["chosen"]["how"] == "L2 strength 10 by the `val` split"
    assert run.result["top1"] > 0.8


@pytest.mark.usefixtures("shared_cache")
def test_what_is_measured_chooses_nothing(in_tmp_path: Path, split_photos: Path) -> None:
    """Turn the labels of `test` round: nothing but the figures may change."""
    shutil.copytree(split_photos, in_tmp_path / "other")
    test = in_tmp_path / "other" / "test"
    for old, new in (("blue", "x"), ("red", "blue"), ("x", "red")):
        os.rename(test / old, test / new)
    first, second = fit(split_photos, head(), out="first"), fit(in_tmp_path / "other", head(), out="second")
    assert weights_hash(first) == weights_hash(second)
    assert first.result["top1"] == pytest.approx(1 - second.result["top1"])


@pytest.mark.slow
def test_real_photos_are_told_apart(in_tmp_path: Path, ants_bees: Path) -> None:
    del in_tmp_path
    run = fit(ants_bees, Options(resolution=160), out="a")
    assert (run.result["split"], run.result["n"]) == ("val", 153)
    assert run.result["top1"] > 0.9
    assert run.result["skipped"] in (0, 1)  # the stray GIF

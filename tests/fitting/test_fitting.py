"""The main job end to end, on small folders."""

import csv
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from convwise import machine
from convwise.data.augmentation import Augmentation
from convwise.data.preprocessing import Preprocessing
from convwise.data.samples import list_folder
from convwise.errors import BudgetError, ConvwiseError, DataError, DivergedError, MachineError, UsageError
from convwise.evaluation import evaluate
from convwise.fitting import Options, Run, fit, work
from convwise.fitting.start import FromScratch
from convwise.fitting.trained_candidate import TrainedCandidate, _told
from convwise.fitting.training_data import FROM_FILES, pixel_statistics
from convwise.runtime import gather as gather_module
from convwise.runtime.session import FrozenNetwork
from convwise.training import plan
from convwise.training.checkpoint import Checkpoints
from convwise.training.loop import Trained
from convwise.training.recipe import Recipe
from convwise.training.state import Epoch
from convwise.training.trial import Trial

T = TypeVar("T")
MakePhotos = Callable[..., Path]
LENET = ("lenet5",)


def table(run: Run, name: str) -> list[dict[str, str]]:
    with (run.path / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def weights_hash(run: Run) -> str:
    return str(run.classifier.sha256["weights.safetensors"])


def head(**changes: Any) -> Options:
    return Options(**{"resolution": 64, "threads": 2, **changes})


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


def test_a_training_is_the_same_with_the_same_seed(in_tmp_path: Path, lenet_run: Run, photos: Path) -> None:
    del in_tmp_path
    again = fit(photos, Options(network=LENET, epochs=2, threads=2), out="again")
    assert weights_hash(again) == weights_hash(lenet_run)
    other = fit(photos, Options(network=LENET, epochs=2, threads=2, seed=1), out="other")
    assert weights_hash(other) != weights_hash(lenet_run)
    assert {r["path"]: r["split"] for r in table(other, "samples.csv")} == {
        r["path"]: r["split"] for r in table(lenet_run, "samples.csv")
    }


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


@pytest.mark.usefixtures("shared_cache")
@pytest.mark.parametrize(
    ("budget", "text"),
    [
        ({"max_macs": 1000}, r"efficientnet_lite0 at 64 px needs 31,3\d\d,\d\d\d MACs \(--max-macs 1000\)"),
        ({"max_mb": 1}, r"efficientnet_lite0 at 64 px needs 13\.5 MB \(--max-mb 1\)"),
        ({"max_ms": 1e-6}, r"efficientnet_lite0 at 64 px needs [\d.]+ ms \(--max-ms 1e-06\)"),
        ({"max_macs": 1000, "max_mb": 1}, r".* needs .* MACs \(--max-macs 1000\), 13\.5 MB \(--max-mb 1\)"),
    ],
)
def test_a_budget_that_nothing_fits_is_an_error(
    in_tmp_path: Path, photos: Path, budget: dict[str, Any], text: str
) -> None:
    lower = "" if "max_mb" in budget else " lower --resolution,"  # which changes no weights
    end = f"; raise it,{lower} or name other networks"
    with pytest.raises(BudgetError, match=f"^no candidate fits the budget: {text}{re.escape(end)}$"):
        fit(photos, head(**budget), out="a")
    assert list(in_tmp_path.iterdir()) == []


@pytest.mark.usefixtures("shared_cache")
def test_a_budget_leaves_the_candidates_that_fit(in_tmp_path: Path, photos: Path) -> None:
    del in_tmp_path
    options = head(network=("efficientnet_lite0", "lenet5"), epochs=1, max_mb=2, max_ms=1e6)
    run = fit(photos, options, out="a")
    assert run.result["network"] == "lenet5"
    assert {row["network"] for row in table(run, "history.csv")} == {"lenet5"}
    assert sorted(run.record["trials_ms"]) == ["lenet5"]  # what is too large is not timed


@pytest.mark.usefixtures("shared_cache")
def test_a_head_within_its_budget_is_fitted(in_tmp_path: Path, photos: Path) -> None:
    del in_tmp_path
    assert fit(photos, head(max_ms=1e6, max_macs=1e9, max_mb=100), out="a").result["transfer"] == "head"


@pytest.mark.parametrize(
    ("options", "limit", "takes", "allows"),
    [  # 30 times 1000 x 1000, where 109 x 109 would fit; 30 times 1280 numbers of four bytes
        ({"network": LENET, "resolution": 1000}, "3.6e-4", "pixels at 1000 px of 30 files take 30.0 MB",
         "360.0 kB; raise it or lower --resolution to 109"),
        ({}, "1e-5", "features at 64 px of 30 files take 153.6 kB", "10.0 kB; raise it"),
    ],
    ids=["pixels", "features"],
)  # fmt: skip
@pytest.mark.usefixtures("shared_cache")
def test_a_cache_that_is_too_small_is_said_before_a_file_is_read(
    in_tmp_path: Path, photos: Path, options: dict[str, Any], limit: str, takes: str, allows: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    text = f"{takes} of cache, and CONVWISE_CACHE_GB allows {allows}"
    monkeypatch.setattr(gather_module, "make_room", lambda _: None)  # the cache is shared
    monkeypatch.setenv("CONVWISE_CACHE_GB", limit)
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        fit(photos, head(**options), out="a")
    assert not [path for path in in_tmp_path.iterdir() if path.name.startswith("a")]


def scratch(network: str, options: Options) -> TrainedCandidate:
    return TrainedCandidate(FromScratch(network, options), options)


@pytest.mark.parametrize("resolution", [100_000, 1000])
def test_a_training_that_needs_too_much_memory_is_not_begun(
    in_tmp_path: Path, photos: Path, resolution: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "machine_memory", lambda: 2 * 10**9)
    monkeypatch.setattr(work, "gather", lambda *_, **__: pytest.fail("a file is read"))
    options = Options(network=("resnet20",), resolution=resolution, epochs=1)
    with pytest.raises(MachineError, match=f"^training resnet20 at {resolution} px needs about ") as caught:
        fit(photos, options, out="a")
    assert not [path for path in in_tmp_path.iterdir() if path.name.startswith("a")]
    found = re.search(r" of memory, and there are 2\.0 GB; --resolution (\d+) .*would fit$", str(caught.value))
    assert found
    options = replace(options, resolution=int(found[1]))
    scratch("resnet20", options).check_memory(30, 3)


def test_a_training_that_fits_in_pieces_says_so(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(batch=32)
    options = Options(network=("resnet20",), recipe=recipe)
    needed = scratch("resnet20", options).memory(recipe, 32, 30, 3)
    monkeypatch.setattr(machine, "machine_memory", lambda: needed.on("cpu") - 1)
    text = r"or accumulate = 2 in the recipe \(16 of its 32 images at once\) would fit$"
    with pytest.raises(MachineError, match=text):
        fit(photos, Options(network=("resnet20",), recipe=recipe), out=tmp_path / "a")
    scratch("resnet20", replace(options, recipe=replace(recipe, accumulate=2))).check_memory(30, 3)


def test_a_gpu_that_is_not_there_is_said_before_a_file_is_read(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(work, "gather", lambda *_, **__: pytest.fail("a file is read"))
    with pytest.raises(UsageError, match=r"^device 'cuda': torch sees no GPU here; take 'cpu', or install a torch"):
        fit(photos, Options(network=LENET, device="cuda"), out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_which_nothing_fits_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "machine_memory", lambda: 1000)
    candidate = scratch("lenet5", Options(network=LENET, epochs=1))
    text = r"^training lenet5 at 28 px needs about .* of memory, and there are 1\.0 kB; take another network$"
    with pytest.raises(MachineError, match=text):
        candidate.check_memory(30, 3)


def test_a_training_that_ends_early_says_how_many_epochs_were_run(in_tmp_path: Path, photos: Path) -> None:
    del in_tmp_path
    run = fit(photos, Options(network=LENET, epochs=1000, time_limit=1e-9), out="a")
    text = "lenet5: training stopped after 1 of 1000 epochs: the time limit of 1e-09 s is over"
    assert run.result["notes"] == [text]
    assert len(table(run, "history.csv")) == 1


@pytest.mark.parametrize(
    ("stopped", "texts"),
    [
        ("", ()),
        ("the NLL has not fallen for 2 epochs",
         ("training stopped after 3 of 9 epochs: the NLL has not fallen for 2 epochs",)),
        ("training diverged in epoch 3: the loss is nan",
         (("training diverged in epoch 3: the loss is nan; the weights of epoch 1 are kept, "
           "a lower lr would go further"),)),
    ],
)  # fmt: skip
def test_the_reason_of_an_early_end_is_told(stopped: str, texts: tuple[str, ...]) -> None:
    history = tuple(Epoch(i, 0.5, 1.0, 0.5, 0.1, 1.0, 0.0, 1.0) for i in (1, 2, 3))
    trained = Trained(nn.Identity(), np.empty(0, np.float32), history, best_epoch=1, stopped=stopped, notes=())
    assert _told(trained, 9) == texts


def test_balance_reaches_the_weights(in_tmp_path: Path, make_photos: MakePhotos) -> None:
    folder = make_photos(in_tmp_path / "data", 12, ("blue",))
    make_photos(folder, 3, ("red",), seed=1)
    plain, balanced = (
        fit(folder, Options(network=LENET, epochs=1, balance=balance), out=str(balance)) for balance in (False, True)
    )
    assert weights_hash(plain) != weights_hash(balanced)


def test_everything_odd_in_a_folder_is_told(in_tmp_path: Path, make_photos: MakePhotos) -> None:
    folder = make_photos(in_tmp_path / "data", 8, ("blue", "red"))
    make_photos(folder, 3, ("green",), seed=1)
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "1.jpg").touch()
    (folder / "red" / "lies.jpg").write_bytes((folder / "blue" / "img1.png").read_bytes())  # a copy, and a PNG
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "black")]
    frames[0].save(folder / "red" / "moves.gif", save_all=True, append_images=frames[1:])
    run = fit(folder, Options(network=LENET, epochs=1), out="a")
    assert run.result["notes"] == [
        "1 file with an extension that names another format than the content; read by content",
        "1 file with several frames; the first one counts",
        "1 images stand in more than one class, byte for byte; `convwise scan` lists them",
        "1 class(es) with fewer than 5 images to train: 'green'",
        "class folder 'empty' holds no image file and is no class",
        "class 'broken' has no usable image and is no class",
    ]
    assert run.classifier.classes == ("blue", "green", "red")
    (bad,) = (row for row in table(run, "samples.csv") if row["problem"])
    assert (bad["path"], bad["split"], bad["problem"]) == ("broken/1.jpg", "", "zero bytes")
    assert run.result["skipped"] == 1


def test_a_measured_image_that_was_trained_on_is_told(in_tmp_path: Path, make_photos: MakePhotos) -> None:
    folder = make_photos(in_tmp_path / "data", 6, ("blue", "red"), splits=("train", "val"))
    shutil.copy(folder / "train" / "red" / "img0.jpg", folder / "val" / "red" / "copy.jpg")
    notes = fit(folder, Options(network=LENET, epochs=1), out="a").result["notes"]
    assert notes[0] == (
        "1 of the measured images are also in `train`, byte for byte: the figures flatter; `convwise scan` lists them"
    )


def test_names_that_are_hostile_are_written_safely(in_tmp_path: Path, make_photos: MakePhotos) -> None:
    names = ("=cmd()", "b\udce4r", "<script>alert(1)", "a\nb")
    run = fit(make_photos(in_tmp_path / "data", 4, names), Options(network=LENET, epochs=1), out="a")
    assert set(run.classifier.classes) == set(names)
    assert Run.read(run.path).classifier.classes == run.classifier.classes
    page = run.report.read_bytes()
    assert b"<script>alert(1)" not in page
    page.decode("utf-8")
    assert "'=cmd()" in (run.path / "per_class.csv").read_text(errors="surrogateescape")


def test_too_few_images_to_hold_a_tenth_out_is_an_error(in_tmp_path: Path, make_photos: MakePhotos) -> None:
    folder = make_photos(in_tmp_path / "data", 1, ("blue", "red"), splits=("train", "test"))
    text = (
        "training by epochs holds a tenth of `train` out to choose the epoch, and no class has two different "
        "images to spare; add images"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        fit(folder, Options(network=LENET, epochs=1), out="a")


@pytest.mark.usefixtures("shared_cache")
def test_one_image_a_class_is_enough_for_a_head(in_tmp_path: Path, make_photos: MakePhotos) -> None:
    folder = make_photos(in_tmp_path / "data", 1, ("blue", "red"), splits=("train", "test"))
    assert fit(folder, head(), out="a").result["n"] == 2


@pytest.mark.usefixtures("shared_cache")
def test_features_that_are_no_numbers_are_an_error(
    in_tmp_path: Path, split_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del in_tmp_path
    monkeypatch.setattr(FrozenNetwork, "run", lambda *_: [np.full((1, 1280), np.nan, np.float32)])
    monkeypatch.setattr(FrozenNetwork, "engine", staticmethod(lambda: "broken"))  # other rows in the cache
    text = "cached features are damaged (not finite); clear them with `convwise cache --clear`"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"), np.errstate(all="ignore"):
        fit(split_photos, head(), out="a")


def test_statistics_of_pixels_are_those_of_numpy() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 7, 3), np.uint8)
    pixels[..., 2] = 9
    mean, std = pixel_statistics(pixels, np.ones(5, bool))
    assert mean == pytest.approx(pixels.mean(axis=(0, 1, 2)))
    assert std[:2] == pytest.approx(pixels.std(axis=(0, 1, 2))[:2])
    assert std[2] == 1  # a channel without contrast is not divided by nothing
    Preprocessing(mean=mean, std=std)


@pytest.mark.slow
def test_real_photos_are_told_apart(in_tmp_path: Path, ants_bees: Path) -> None:
    del in_tmp_path
    run = fit(ants_bees, Options(resolution=160), out="a")
    assert (run.result["split"], run.result["n"]) == ("val", 153)
    assert run.result["top1"] > 0.9
    assert run.result["skipped"] in (0, 1)  # the stray GIF


def test_a_network_over_the_budget_is_not_downloaded(photos: Path, tmp_path: Path) -> None:
    options = Options(network=("vgg16",), max_macs=1e6, offline=True)
    with pytest.raises(BudgetError, match=r"vgg16 at 224 px needs 15,\d+,\d+,\d+ MACs"):
        fit(photos, options, out=tmp_path / "run")
    with pytest.raises(DataError, match=r"torchvision/IMAGENET1K_V1 of vgg16 are not on this machine"):
        fit(photos, Options(network=("vgg16",), offline=True), out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_frozen_network_that_the_machine_cannot_run_is_refused_before_its_weights_are_read(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convwise.fitting.head_candidate.prepare_body", lambda *_, **__: pytest.fail("it is begun"))
    with pytest.raises(MachineError, match=r"^efficientnet_lite0 at 20000 px needs about .* lower --resolution$"):
        fit(photos, Options(resolution=20_000), out="a")
    assert not (in_tmp_path / "a").exists()


@pytest.mark.usefixtures("shared_cache")
def test_auxiliary_heads_are_trained_with_and_not_kept(in_tmp_path: Path, photos: Path) -> None:
    del in_tmp_path
    recipe = Recipe(epochs=1, batch=8, aux_weight=0.5, precision="float32")
    options = Options(network=("googlenet_bn",), transfer="none", resolution=32, recipe=recipe, threads=2)
    run = fit(photos, options, out="run")
    assert run.record["training"]["googlenet_bn"]["recipe"]["aux_weight"] == 0.5
    network = run.classifier.to_torch()
    assert not any("aux" in name for name in network.state_dict())
    assert run.classifier.params == sum(p.numel() for p in network.parameters())


def test_a_recipe_of_ones_own_is_followed_and_recorded(in_tmp_path: Path, photos: Path) -> None:
    del in_tmp_path
    recipe = Recipe(epochs=7, batch=4, patience=1, seed=3, balance=True)
    run = fit(photos, Options(network=LENET, recipe=recipe, epochs=4, threads=1), out="run")
    kept = run.record["training"]["lenet5"]
    assert replace(recipe, epochs=4).difference(kept["recipe"]) == ""
    assert kept["memory_bytes"] > 0
    assert kept["images_per_second"]
    history = table(run, "history.csv")
    assert 1 <= len(history) <= 4
    assert float(history[0]["images_per_second"]) > 0
    again = Options(network=LENET, recipe=recipe, epochs=4, threads=1)
    assert fit(photos, again, out="run", resume=True).path == run.path
    other = replace(again, recipe=replace(recipe, batch=5))
    with pytest.raises(UsageError, match="holds a run with recipe with batch 4, now 5"):
        fit(photos, other, out="run", resume=True)


CHANGED = Recipe(
    epochs=2, batch=4, balance=True, augmentation=Augmentation(mirror=0.5, area=(0.25, 1.0), pca=0.1, cutmix=1.0)
)


def interrupted(items: Iterable[T], total: int, what: str) -> Iterable[T]:  # noqa: ARG001
    """Ctrl-C in the fourth step of training."""
    for i, item in enumerate(items):
        yield item
        if what.startswith("steps") and i == 3:
            raise KeyboardInterrupt


def test_augmentation_is_part_of_a_training_and_of_its_record(in_tmp_path: Path, photos: Path) -> None:
    options = Options(network=LENET, recipe=CHANGED, threads=2)
    run = fit(photos, options, out="run")
    assert run.record["training"]["lenet5"]["recipe"]["augmentation"]["area"] == [0.25, 1.0]
    plain = fit(photos, replace(options, recipe=replace(CHANGED, augmentation=Augmentation())), out="plain")
    assert weights_hash(run) != weights_hash(plain)
    warm = fit(photos, options, out="warm")  # prepared images are there
    assert warm.record["files_read"] == 0
    assert weights_hash(warm) == weights_hash(run)
    assert (in_tmp_path / "run" / "report.html").is_file()


def test_a_training_with_augmentation_that_is_interrupted_ends_in_the_same_weights(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del in_tmp_path
    options = Options(network=LENET, recipe=CHANGED, threads=1)
    expected = weights_hash(fit(photos, options, out="whole"))
    monkeypatch.setattr(Checkpoints, "due", lambda _: True)
    with pytest.raises(KeyboardInterrupt):
        fit(photos, options, out="run", track=interrupted)
    assert list(Path("run.partial", "checkpoints", "lenet5").iterdir())
    assert weights_hash(fit(photos, options, out="run")) == expected


@pytest.mark.parametrize(
    ("damage", "error", "told"),
    [(Path.unlink, MachineError, "cannot be read: "), (Path.write_bytes, DataError, "was changed after training began")],
)
def test_a_file_that_fails_in_mid_training_costs_no_checkpoint(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[..., Any],
    error: type[ConvwiseError], told: str,
) -> None:  # fmt: skip
    shutil.copytree(photos, "data")
    options = Options(network=LENET, recipe=CHANGED, threads=1)
    expected = weights_hash(fit("data", options, out="whole"))
    files = {path: path.read_bytes() for path in Path("data").glob("*/*")}

    def damaging(items: Iterable[T], total: int, what: str) -> Iterable[T]:  # noqa: ARG001
        for i, item in enumerate(items):
            yield item
            if what.startswith("steps") and i == 3:
                for path in files:
                    damage(path, *((b"no image",) if damage is Path.write_bytes else ()))

    monkeypatch.setenv("CONVWISE_CACHE_GB", "3e-5")  # no room for whole images: training reads the files
    monkeypatch.setenv("CONVWISE_CACHE", str(in_tmp_path / "small"))
    monkeypatch.setattr(Checkpoints, "due", lambda _: True)
    with pytest.raises(error, match=f"^image '.*' {told}"):
        fit("data", options, out="run", track=damaging)
    assert list(Path("run.partial", "checkpoints", "lenet5").iterdir())
    for path, content in files.items():
        path.write_bytes(content)
    assert weights_hash(fit("data", options, out="run")) == expected


DIVERGING = Recipe(epochs=1, batch=4, lr=1e30, warm_up=0.0)


@pytest.mark.usefixtures("shared_cache")
@pytest.mark.parametrize("network", [("lenet5", "efficientnet_lite0"), ("efficientnet_lite0", "lenet5")])
def test_a_candidate_that_diverges_from_the_start_leaves_the_comparison(
    in_tmp_path: Path, photos: Path, network: tuple[str, ...]
) -> None:
    del in_tmp_path
    run = fit(photos, head(network=network, recipe=DIVERGING), out="a")
    assert run.result["network"] == "efficientnet_lite0"
    assert {row["network"] for row in table(run, "history.csv")} == {"efficientnet_lite0"}
    (note,) = (note for note in run.result["notes"] if "diverged" in note)
    assert re.fullmatch(
        r"lenet5: training diverged in epoch 1: the (loss|NLL) is (nan|inf); try a lower lr than 1e\+30, "
        "and `convwise scan` on the images; it is not compared", note
    )  # fmt: skip


def test_candidates_that_all_diverge_are_an_error_that_names_them(in_tmp_path: Path, photos: Path) -> None:
    text = (
        r"^lenet5: training diverged in epoch 1: .* on the images; resnet20: training diverged in epoch 1: .* images$"
    )
    with pytest.raises(DivergedError, match=text):
        fit(photos, Options(network=("lenet5", "resnet20"), recipe=DIVERGING, threads=1), out="a")
    assert not list(in_tmp_path.iterdir())


def test_a_cache_without_room_for_prepared_images_changes_no_bit(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del in_tmp_path
    options = Options(network=LENET, recipe=CHANGED, threads=2)
    run = fit(photos, options, out="run")
    assert run.result["notes"] == []
    monkeypatch.setenv("CONVWISE_CACHE_GB", "3e-5")  # 30 times 28 x 28 pixels are 23,520 bytes; whole images are more
    small = fit(photos, options, out="small")
    assert small.result["notes"] == [f"lenet5: {FROM_FILES}"]
    assert weights_hash(small) == weights_hash(run)


def test_a_resumed_training_keeps_the_setting_that_the_trial_chose(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([Trial("bfloat16", True, 1, 1.0, {}), Trial("float32", False, 1, 1.0, {})])  # as on a busy machine
    recipe = Recipe(epochs=2, batch=4)
    options = Options(network=LENET, recipe=recipe, threads=1)
    with monkeypatch.context() as patch:
        patch.setattr(plan, "try_out", lambda *_: next(found))
        patch.setattr(Checkpoints, "due", lambda _: True)
        with pytest.raises(KeyboardInterrupt):
            fit(photos, options, out="run", track=interrupted)
        begun = json.loads((in_tmp_path / "run.partial" / "run.json").read_text())["training"]["lenet5"]
        assert (begun["precision"], begun["channels_last"]) == ("bfloat16", True)
        run = fit(photos, options, out="run")
        other = fit(photos, options, out="other")
    assert run.record["training"]["lenet5"] == begun
    assert other.record["training"]["lenet5"]["precision"] == "float32"
    fixed = replace(options, recipe=replace(recipe, precision="bfloat16", channels_last=True))
    assert weights_hash(fit(photos, fixed, out="fixed")) == weights_hash(run) != weights_hash(other)


def test_candidates_that_want_the_same_pixels_share_them(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del in_tmp_path
    asked: list[list[str]] = []
    gather = gather_module.gather

    def look(listing: Any, jobs: Any, **rest: Any) -> Any:
        asked.append([str(job.rows.folder) for job in jobs])
        return gather(listing, jobs, **rest)

    monkeypatch.setattr(work, "gather", look)
    fit(photos, Options(network=("resnet20", "plain20"), epochs=1), out="a")
    assert len(asked[0]) == len(set(asked[0])) == 2  # pixels, and whole images to change

"""What a fit leaves out or refuses, and before what it does so: budgets, cache, memory, GPU."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from convwise import machine
from convwise.errors import BudgetError, DataError, MachineError, UsageError
from convwise.fitting import Options, fit, work
from convwise.fitting.from_published import FromPublished
from convwise.fitting.from_scratch import FromScratch
from convwise.fitting.trained_candidate import TrainedCandidate
from convwise.runtime import gather as gather_module
from convwise.training.recipe import Recipe

from .runs import LENET, head, table


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


def test_batches_that_batch_norm_cannot_train_on_are_refused_before_weights_and_images(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "machine_memory", lambda: None)  # as on Windows: nothing to hold the need to
    monkeypatch.setattr(FromPublished, "prepare", None)
    options = head(transfer="partial", freeze="stage6", reset_from="stage7", recipe=Recipe(epochs=1, batch=1))
    text = (
        "batch norm learns from two images or more at once, got batch 1 in 1 piece(s); raise batch or lower accumulate"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        fit(photos, options, out="a")
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

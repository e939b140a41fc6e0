"""Candidates that are trained by epochs: their recipes, their ends, what an interruption changes (nothing)."""

import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from torch import nn

from convwise.data.augmentation import Augmentation
from convwise.errors import ConvwiseError, DataError, DivergedError, MachineError, UsageError
from convwise.fitting import Options, Run, fit, work
from convwise.fitting.trained import why_early
from convwise.fitting.training_data import FROM_FILES
from convwise.runtime import gather as gather_module
from convwise.training import plan
from convwise.training.checkpoint import Checkpoints
from convwise.training.loop import Trained
from convwise.training.recipe import Recipe
from convwise.training.state import Epoch
from convwise.training.trial import Trial

from .runs import LENET, head, table, weights_hash

T = TypeVar("T")


def test_a_training_is_the_same_with_the_same_seed(in_tmp_path: Path, lenet_run: Run, photos: Path) -> None:
    del in_tmp_path
    again = fit(photos, Options(network=LENET, epochs=2, threads=2), out="again")
    assert weights_hash(again) == weights_hash(lenet_run)
    other = fit(photos, Options(network=LENET, epochs=2, threads=2, seed=1), out="other")
    assert weights_hash(other) != weights_hash(lenet_run)
    assert {r["path"]: r["split"] for r in table(other, "samples.csv")} == {
        r["path"]: r["split"] for r in table(lenet_run, "samples.csv")
    }


def test_a_training_that_ends_early_says_how_many_epochs_were_run(in_tmp_path: Path, photos: Path) -> None:
    del in_tmp_path
    run = fit(photos, Options(network=LENET, epochs=1000, time_limit=1e-9), out="a")
    text = "lenet5: training stopped after 1 of 1000 epochs: the time limit of 1e-09 s is over"
    assert run.result["notes"] == [text]
    assert len(table(run, "history.csv")) == 1


@pytest.mark.parametrize(
    ("stopped", "diverged", "texts"),
    [
        ("", False, ()),
        ("the NLL has not fallen for 2 epochs", False,
         ("training stopped after 3 of 9 epochs: the NLL has not fallen for 2 epochs",)),
        ("in epoch 3 the loss is nan", True,
         (("in epoch 3 the loss is nan; the weights of epoch 1 are kept, "
           "a lower lr would go further"),)),
    ],
)  # fmt: skip
def test_the_reason_of_an_early_end_is_told(stopped: str, diverged: bool, texts: tuple[str, ...]) -> None:
    history = tuple(Epoch(i, 0.5, 1.0, 0.5, 0.1, 1.0, 0.0, 1.0) for i in (1, 2, 3))
    trained = Trained(nn.Identity(), np.empty(0, np.float32), history, 1, stopped, diverged, notes=())
    assert why_early(trained, 9) == texts


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


def stop(photos: Path, options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the run `stopped` after its checkpoint."""
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "due", lambda _: True)
        with pytest.raises(KeyboardInterrupt):
            fit(photos, options, out="stopped", track=interrupted)
    assert list(Path("stopped.partial").glob("checkpoints/*/*.safetensors"))


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


def test_a_training_takes_the_principal_colours_of_its_own_images_and_records_them(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del in_tmp_path
    own = Augmentation(pca=0.5, pca_colours="own")
    recipe = Recipe(epochs=2, batch=8, augmentation=own, precision="float32", channels_last=True)
    options = Options(network=("resnet20",), transfer="none", recipe=recipe, threads=1)
    run = fit(photos, options, out="run")
    colours = run.record["training"]["resnet20"]["recipe"]["augmentation"]["pca_colours"]
    assert run.record["options"]["recipe"]["augmentation"]["pca_colours"] == "own"
    given = tuple(map(tuple, colours))
    assert given != Augmentation().pca_colours
    stop(photos, options, monkeypatch)
    assert weights_hash(fit(photos, options, out="stopped")) == weights_hash(run)
    by_hand = replace(recipe, augmentation=replace(own, pca_colours=given))
    assert weights_hash(fit(photos, replace(options, recipe=by_hand), out="by_hand")) == weights_hash(run)


def test_a_training_with_augmentation_that_is_interrupted_ends_in_the_same_weights(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del in_tmp_path
    options = Options(network=LENET, recipe=CHANGED, threads=1)
    expected = weights_hash(fit(photos, options, out="whole"))
    stop(photos, options, monkeypatch)
    assert weights_hash(fit(photos, options, out="stopped")) == expected


@pytest.mark.parametrize(
    ("damage", "error", "told"),
    [(Path.unlink, MachineError, "cannot be read: "), (Path.write_bytes, DataError, "was changed after ")],
)
def test_a_file_that_fails_in_mid_training_costs_no_checkpoint(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[..., Any],
    error: type[ConvwiseError], told: str,
) -> None:  # fmt: skip
    shutil.copytree(photos, "data")
    options = Options(network=LENET, recipe=CHANGED, threads=1)
    monkeypatch.setenv("CONVWISE_CACHE_GB", "3e-5")  # no room for whole images: training reads the files
    monkeypatch.setenv("CONVWISE_CACHE", str(in_tmp_path / "small"))
    expected = weights_hash(fit("data", options, out="whole"))
    files = {path: path.read_bytes() for path in Path("data").glob("*/*")}

    def damaging(items: Iterable[T], total: int, what: str) -> Iterable[T]:  # noqa: ARG001
        for i, item in enumerate(items):
            yield item
            if what.startswith("steps") and i == 3:
                for path in files:
                    damage(path, *((b"no image",) if damage is Path.write_bytes else ()))

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


def from_files(run: Run) -> list[str]:
    """The notes on where training reads its images."""
    return [note for note in run.result["notes"] if "prepared images" in note]


def test_a_cache_without_room_for_prepared_images_is_told_and_a_resumed_run_goes_on_as_it_began(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del in_tmp_path
    options = Options(network=LENET, recipe=CHANGED, threads=2)
    run = fit(photos, options, out="run")
    assert (from_files(run), run.record["from_files"]) == ([], False)
    with monkeypatch.context() as small_cache:
        small_cache.setenv("CONVWISE_CACHE_GB", "3e-5")  # 30 times 28 x 28 pixels are 23,520 bytes; images are more
        small = fit(photos, options, out="small")
        assert (from_files(small), small.record["from_files"]) == ([f"lenet5: {FROM_FILES}"], True)
        stop(photos, options, monkeypatch)
    resumed = fit(photos, options, out="stopped")
    assert resumed.record["from_files"]
    assert weights_hash(resumed) == weights_hash(small)


def test_a_run_that_began_with_prepared_images_changes_no_bit_when_their_room_is_gone(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del in_tmp_path
    options = Options(network=LENET, recipe=CHANGED, threads=2)
    whole = fit(photos, options, out="run")
    stop(photos, options, monkeypatch)
    monkeypatch.setenv("CONVWISE_CACHE_GB", "3e-5")
    resumed = fit(photos, options, out="stopped")
    assert (from_files(resumed), resumed.record["from_files"]) == ([f"lenet5: {FROM_FILES}"], False)
    assert weights_hash(resumed) == weights_hash(whole)


def test_a_disk_without_room_for_prepared_images_changes_no_bit_so_that_a_warm_cache_decides_nothing(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del in_tmp_path
    options = Options(network=LENET, recipe=CHANGED, threads=2)
    with monkeypatch.context() as full_disk:
        full_disk.setattr(work, "has_disk", lambda *_: False)
        cold = fit(photos, options, out="cold")
    assert (from_files(cold), cold.record["from_files"]) == ([f"lenet5: {FROM_FILES}"], False)
    assert weights_hash(fit(photos, options, out="warm")) == weights_hash(cold)


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

"""Training from scratch by the command line: stopped in any way it ends in the same weights; bad input is one line."""

import json
import signal
import time
from pathlib import Path

import pytest

from .harness import Convwise, Disk, checkpoint_steps, finish, stop_when, wait_for, weights_hash, write_folder

# a training of some seconds, of 30 steps an epoch or so
LONG = ("--network", "lenet5", "--threads", 1, "--recipe", "long.toml", "--quiet")
RECIPE = "epochs = 200\nbatch = 4\nlr = 0.002\n[augmentation]\nshift = 0.1\nrotation = 10\nmixup = 0.2\n"


@pytest.fixture(scope="session")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 40 photos; nobody changes it."""
    return write_folder(tmp_path_factory.mktemp("forty") / "photos", ("disc", "stripes", "chess"), count=40, side=32)


@pytest.fixture(scope="session")
def unbroken(forty: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Hash of the weights of a training that nobody disturbs."""
    folder = tmp_path_factory.mktemp("unbroken")
    (folder / "long.toml").write_text(RECIPE)
    Convwise(folder, folder / "cache")("fit", forty, "--out", "run", *LONG).ends(0)
    return weights_hash(folder / "run")


def steps(run: Path) -> list[int]:
    """Of the checkpoints of an unfinished run."""
    return checkpoint_steps(run, "lenet5")


@pytest.mark.parametrize(
    ("how", "times"), [(signal.SIGKILL, 1), pytest.param(signal.SIGINT, 2, marks=pytest.mark.slow)]
)
def test_a_training_that_is_stopped_ends_in_the_same_weights(
    trainer: Convwise, forty: Path, unbroken: str, tmp_path: Path, how: signal.Signals, times: int
) -> None:
    run, seen = tmp_path / "run", 0
    for _ in range(times):
        process = trainer.start("fit", forty, "--out", "run", *LONG)
        begun = seen
        found = stop_when(process, lambda begun=begun: steps(run)[-1:] > [begun], how)  # type: ignore[misc]
        assert found.code == (-signal.SIGKILL if how == signal.SIGKILL else 130)
        assert "Traceback" not in found.err
        seen = steps(run)[-1]
        assert seen > begun
    trainer("fit", forty, "--out", "run", "--resume", *LONG).ends(0)
    assert weights_hash(run) == unbroken
    record = json.loads((run / "run.json").read_text())
    assert record["training"]["lenet5"]["recipe"]["epochs"] == 200
    assert len((run / "history.csv").read_text().splitlines()) == 201
    assert not (run / "checkpoints").exists()


def test_a_training_on_a_disk_that_fills_up_goes_on_when_there_is_room(
    trainer: Convwise, forty: Path, unbroken: str, small_disk: Disk
) -> None:
    small_disk.change("size=8m")
    run = small_disk.place / "run"
    process = trainer.start("fit", forty, "--out", run, *LONG)
    wait_for(process, lambda: bool(steps(run)))
    filler = small_disk.fill(leave=50_000)
    found = finish(process).ends(6)
    assert "a checkpoint could not be written in " in found.message
    assert "No space left on device; the one before it is kept. Free some space, and repeat the" in found.message
    kept = steps(run)
    assert kept
    assert kept[-1] < 200 * 23
    filler.unlink()
    trainer("fit", forty, "--out", run, *LONG).ends(0)
    assert weights_hash(run) == unbroken


def test_a_checkpoint_with_a_byte_changed_and_one_of_another_recipe(
    trainer: Convwise, forty: Path, unbroken: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = trainer.start("fit", forty, "--out", "run", *LONG)
    stop_when(process, lambda: len(steps(run)) == 2, signal.SIGKILL)
    (tmp_path / "long.toml").write_text(RECIPE.replace("200", "201"))
    found = trainer("fit", forty, "--out", "run", *LONG).ends(2)
    assert found.message == (
        "output folder 'run' holds an unfinished run with recipe with epochs 200, now 201; "
        "give the same options to go on with it, --overwrite to begin anew, or another --out"
    )
    (tmp_path / "long.toml").write_text(RECIPE)
    older, newer = sorted((tmp_path / "run.partial" / "checkpoints" / "lenet5").iterdir())
    change(newer)
    good = older.read_bytes()
    change(older)
    found = trainer("fit", forty, "--out", "run", *LONG).ends(3)
    assert f"checkpoint {newer.name[:10]} in " in found.message
    assert "is damaged, its bytes have another hash than its name" in found.message
    older.write_bytes(good)
    found = trainer("fit", forty, "--out", "run", *LONG[:-1], "--json").ends(0)
    step = int(older.name[:10])
    _, note = found.json["notes"]  # the first is on the few images that chose
    assert note == f"lenet5: the newest checkpoint was damaged; training went on from step {step}"
    assert weights_hash(run) == unbroken


def change(path: Path) -> None:
    blob = bytearray(path.read_bytes())
    blob[len(blob) // 2] ^= 1
    path.write_bytes(blob)


def test_a_run_that_other_threads_began_is_not_continued(trainer: Convwise, forty: Path, tmp_path: Path) -> None:
    process = trainer.start("fit", forty, "--out", "run", *LONG)
    stop_when(process, lambda: bool(steps(tmp_path / "run")), signal.SIGKILL)
    found = trainer("fit", forty, "--out", "run", *LONG, "--threads", 2).ends(2)
    assert "holds an unfinished run with threads 1, now 2" in found.message


@pytest.mark.parametrize(
    ("recipe", "options", "code", "message"),
    [
        ("epoch = 3", (), 2, "recipe 'my.toml': field must be one of epochs, "),
        ("lr = 'high'", (), 2, "recipe 'my.toml': lr must be a number above 0, got 'high'"),
        ("epochs", (), 2, "recipe 'my.toml' is not TOML: "),
        ("aux_weight = 0.5", (), 2,
         "aux_weight has no effect: lenet5 has no auxiliary heads; leave it out of the recipe"),
        ("lr = 1e6\nwarm_up = 0\nbatch = 4", (), 3, "lenet5: training diverged in epoch 1: the "),
        ("batch = 1", ("--network", "resnet20"), 2,
         "batch norm learns from two images or more at once, got batch 1 in 1 piece(s); raise batch or lower "),
        ("epochs = 3", ("--network", "efficientnet_lite0"), 0, ""),
    ],
)  # fmt: skip
def test_bad_recipes_are_one_line(
    tmp_path: Path, forty: Path, recipe: str, options: tuple[str, ...], code: int, message: str
) -> None:
    if code == 0:
        options, code = (*options, "--transfer", "head"), 2
        message = "recipe has no effect: no candidate is trained by epochs; leave it out, or add transfer "
    (tmp_path / "my.toml").write_text(recipe)
    found = Convwise(tmp_path, tmp_path / "cache")(
        "fit", forty, "--out", "run", "--quiet", "--recipe", "my.toml", *(options or ("--network", "lenet5"))
    ).ends(code)
    assert found.message.startswith(message)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "run.partial").exists()


def test_no_augment_is_the_recipe_without_its_table(tmp_path: Path, forty: Path) -> None:
    convwise = Convwise(tmp_path, tmp_path / "cache")
    table = "[augmentation]\nmirror = 0.5\n"
    hashes = []
    for name, text, options in (
        ("plain", "epochs = 2\n", ()), ("off", f"epochs = 2\n{table}", ("--no-augment",)),
        ("table", f"epochs = 2\n{table}", ()), ("usual", "epochs = 2\n", ("--augment",)),
    ):  # fmt: skip
        (tmp_path / "my.toml").write_text(text)
        convwise("fit", forty, "--out", name, *LONG[:4], "--recipe", "my.toml", "--quiet", *options).ends(0)
        hashes.append(weights_hash(tmp_path / name))
    plain, off, by_table, usual = hashes
    assert plain == off
    assert len({plain, by_table, usual}) == 3
    record = json.loads((tmp_path / "usual" / "run.json").read_text())
    assert record["options"]["augment"] is True
    assert record["training"]["lenet5"]["recipe"]["augmentation"]["rotation"] == 10.0
    found = convwise("fit", forty, "--out", "head", "--no-augment", "--quiet").ends(2)
    assert found.message == (
        "no-augment has no effect: no candidate is trained by epochs; leave it out, or add transfer 'partial', 'full', "
        "'auto' or 'none'"
    )


def test_recipes_by_name(tmp_path: Path, forty: Path) -> None:
    convwise = Convwise(tmp_path, tmp_path / "cache")
    found = convwise("fit", forty, "--network", "lenet5", "--quiet", "--recipe", "papers").ends(2)
    assert found.message == "recipe must be one of modern, paper, a file.toml, got 'papers'; did you mean 'paper'?"
    assert "recipe 'no.toml' cannot be read: No such file" in (
        convwise("fit", forty, "--network", "lenet5", "--quiet", "--recipe", "no.toml").ends(2).message
    )
    begun = time.monotonic()
    options = ("--network", "lenet5_1998", "--recipe", "paper", "--epochs", 2, "--time-limit", 60, "--threads", 1)
    found = convwise("fit", forty, "--out", "run", *options).ends(0)
    assert time.monotonic() - begun < 60
    assert "steps of lenet5_1998 (at most 2 epochs of about " in found.err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    recipe = record["training"]["lenet5_1998"]["recipe"]
    assert (recipe["batch"], recipe["momentum"], recipe["epochs"], recipe["drops"][0]) == (1, 0.0, 2, [0.2, 0.4])
    assert record["options"]["recipe"] == "paper"

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from convwise import networks
from convwise.classifier import Architecture, Artefacts, Classifier, Prediction, load, save
from convwise.classifier.folder import _own_sha256
from convwise.cost import Totals
from convwise.data.preprocessing import Preprocessing
from convwise.data.provenance import ImageSet, Provenance
from convwise.errors import DataError
from convwise.fitting import Run
from convwise.runtime.graph import classifier_graph

GREY = Preprocessing(channels=1, resolution=28, crop=1.0, mean=(100.0,), std=(60.0,))


@pytest.fixture
def folder(lenet_run: Run, tmp_path: Path) -> Path:
    """A copy of a classifier's folder, to damage."""
    return Path(shutil.copytree(lenet_run.path / "classifier", tmp_path / "classifier"))


def pixels(classifier: Classifier, n: int = 5) -> Any:
    return np.random.default_rng(0).integers(0, 256, (n, *classifier.preprocessing.shape), np.uint8)


def rewrite(folder: Path, **changes: Any) -> None:
    """Change the record and sign it anew, as another version of convwise would."""
    record = json.loads((folder / "classifier.json").read_text()) | changes
    record["sha256"]["classifier.json"] = _own_sha256(record)
    (folder / "classifier.json").write_text(json.dumps(record))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    import safetensors.torch

    torch.manual_seed(0)
    network = networks.create("lenet5", 2).eval()
    provenance = Provenance(
        data="photos",
        split_seed=3,
        trained_on=ImageSet.of(["ab" * 32]),
        chosen_on=ImageSet.of(["cd" * 32]),
        convwise="1",
    )
    graph = classifier_graph(network, GREY).SerializeToString()
    saved = save(
        tmp_path / "new" / "classifier", network=Architecture("lenet5", {"resolution": 28}), classes=["Bär", "\udcff"],
        preprocessing=GREY, cost=Totals(1, 2, 3), provenance=provenance,
        artefacts=Artefacts(safetensors.torch.save(dict(network.state_dict())), graph),
    )  # fmt: skip
    found = load(tmp_path / "new" / "classifier")
    assert found == saved
    assert (found.network, found.arguments, found.classes) == ("lenet5", {"resolution": 28}, ("Bär", "\udcff"))
    assert (found.preprocessing, found.provenance, found.temperature) == (GREY, provenance, 1.0)
    assert (found.params, found.macs, found.weight_bytes) == (1, 2, 3)
    assert found.sha256["network.onnx"] == hashlib.sha256(graph).hexdigest()
    assert {p.name for p in found.folder.iterdir()} == {"classifier.json", "weights.safetensors", "network.onnx"}
    with pytest.raises(FileExistsError):
        save(
            tmp_path / "new" / "classifier", network=Architecture("", {}), classes=[], preprocessing=GREY,
            cost=Totals(1, 2, 3), provenance=provenance, artefacts=Artefacts(b"", b""),
        )  # fmt: skip


@pytest.mark.parametrize("run", ["lenet_run", "head_run"])
def test_graph_and_weights_give_the_same_logits(run: str, request: pytest.FixtureRequest) -> None:
    classifier: Classifier = request.getfixturevalue(run).classifier
    batch = pixels(classifier)
    record = classifier.preprocessing
    x = (torch.from_numpy(batch).float() - torch.tensor(record.mean)) / torch.tensor(record.std)
    network = classifier.to_torch()
    assert not network.training
    with torch.no_grad():
        expected = network(x.permute(0, 3, 1, 2)).numpy()
    logits = classifier.logits(batch)
    assert logits.shape == (5, 3)
    assert np.abs(logits - expected).max() <= 1e-4 * max(1, np.abs(expected).max())


def test_the_temperature_divides_the_logits(lenet_run: Run, folder: Path) -> None:
    plain = lenet_run.classifier
    rewrite(folder, temperature=2 * plain.temperature)
    warm = load(folder)
    logits = plain.logits(pixels(plain))
    assert np.allclose(warm.probs(logits), plain.probs(logits / np.float32(2)), atol=1e-6)
    assert np.allclose(plain.probs(logits).sum(axis=1), 1, atol=1e-5)


def test_a_prediction_names_the_likeliest_class(lenet_run: Run, photos: Path) -> None:
    classifier = lenet_run.classifier
    path = photos / "red" / "img0.jpg"
    (found,) = classifier.predict(path)
    assert found.path == str(path)
    assert found.error == ""
    assert list(found.probs) == ["blue", "green", "red"]
    assert sum(found.probs.values()) == pytest.approx(1, abs=1e-5)
    assert found.label == max(found.probs, key=lambda name: found.probs[name])
    assert found.prob == found.probs[found.label]


def test_path_string_image_and_array_are_the_same_picture(lenet_run: Run, photos: Path) -> None:
    classifier = lenet_run.classifier
    path = photos / "red" / "img1.png"
    image = Image.open(path)
    by_path, by_text, by_image, by_array = classifier.predict([path, str(path), image, np.asarray(image)])
    assert by_path == by_text
    assert by_image == by_array == Prediction("", by_path.label, by_path.prob, by_path.probs)
    assert classifier.predict(image) == [by_image]
    assert classifier.predict(np.asarray(image)) == [by_image]


def test_a_grey_array_has_two_dimensions_or_one_channel(lenet_run: Run) -> None:
    classifier = lenet_run.classifier
    grey = np.random.default_rng(0).integers(0, 256, (40, 30), np.uint8)
    first, second, third = classifier.predict([grey, grey[:, :, None], np.stack([grey] * 3, axis=2)])
    assert first == second
    assert first.error == ""
    assert third.probs == pytest.approx(first.probs, abs=0.02)  # through luma, which rounds


def test_what_cannot_be_used_is_a_row_with_its_reason(lenet_run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    good = str(photos / "red" / "img0.jpg")
    found = lenet_run.classifier.predict(
        [tmp_path / "empty.jpg", good, tmp_path / "none.jpg", tmp_path / "text.jpg", tmp_path], threads=2
    )
    assert [p.error for p in found[:4]] == [
        "zero bytes", "", "cannot be read: No such file or directory", "not an image that can be read (5 bytes)",
    ]  # fmt: skip
    assert found[4].error.startswith("cannot be read: ")
    assert found[0] == Prediction(str(tmp_path / "empty.jpg"), error="zero bytes")
    assert found[1].path == good


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
    ],
)
def test_an_array_of_another_kind_is_a_row_with_its_reason(lenet_run: Run, array: Any) -> None:
    (found,) = lenet_run.classifier.predict(array)
    assert found == Prediction("", error=f"an array must be uint8 (H, W) or (H, W, 3), got {array.dtype} {array.shape}")


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0), (0, 0, 1)])
def test_an_array_without_pixels_is_a_row_with_its_reason(lenet_run: Run, shape: tuple[int, ...]) -> None:
    (found,) = lenet_run.classifier.predict(np.zeros(shape, np.uint8))
    assert found.error != ""
    assert found.label == ""


def test_an_image_cut_short_in_memory_is_a_row_with_its_reason(lenet_run: Run, photos: Path) -> None:
    data = (photos / "red" / "img1.png").read_bytes()
    (found,) = lenet_run.classifier.predict(Image.open(io.BytesIO(data[: len(data) // 2])))
    assert found == Prediction("", error="cut short (truncated)")


def test_a_stream_is_answered_in_order_and_not_taken_at_once(lenet_run: Run, photos: Path) -> None:
    taken = []

    def stream() -> Any:
        for i in range(100):
            taken.append(i)
            yield photos / "red" / f"img{i % 10}{'.png' if i % 2 else '.jpg'}"

    answers = lenet_run.classifier.predict_iter(stream(), threads=1)
    assert [Path(next(answers).path).name for _ in range(3)] == ["img0.jpg", "img1.png", "img2.jpg"]
    assert len(taken) < 10


def test_predicting_imports_no_torch(lenet_run: Run, photos: Path) -> None:
    script = (
        "import sys, convwise\n"
        f"found = convwise.load({str(lenet_run.path)!r}).predict({str(photos / 'red' / 'img0.jpg')!r})\n"
        "assert found[0].label, found\n"
        "print([name for name in ('torch', 'onnx', 'sklearn', 'matplotlib', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_s_folder_is_as_good(lenet_run: Run) -> None:
    assert load(lenet_run.path) == load(lenet_run.path / "classifier") == load(str(lenet_run.path))


@pytest.mark.parametrize("name", ["network.onnx", "weights.safetensors"])
def test_a_changed_byte_is_found(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    text = (
        f"classifier {str(folder)!r}: {name} was changed since it was saved (its sha256 differs); "
        "restore the folder, or fit again"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        load(folder)


@pytest.mark.parametrize(("old", "new"), [("red", "rot"), ('"temperature": ', '"temperature": 1'), ("blue", "Blue")])
def test_a_changed_record_is_found(folder: Path, old: str, new: str) -> None:
    text = (folder / "classifier.json").read_text()
    assert old in text
    (folder / "classifier.json").write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=r"classifier\.json was changed since it was saved"):
        load(folder)


def test_other_spaces_in_the_record_are_no_change(folder: Path) -> None:
    record = json.loads((folder / "classifier.json").read_text())
    (folder / "classifier.json").write_text(json.dumps(record, indent=7))
    load(folder)


@pytest.mark.parametrize("name", ["network.onnx", "weights.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    text = f"classifier {str(folder)!r}: {name} cannot be read: No such file or directory"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        load(folder)


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_a_record_is_no_classifier(tmp_path: Path, there: bool) -> None:
    path = tmp_path if there else tmp_path / "none"
    what = "has no classifier.json" if there else "does not exist"
    text = f"classifier {str(path)!r} {what}; give the folder of a run, or its classifier folder"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        load(path)


DAMAGED = (
    "", "{", "[]", "3", "{}", '{"schema_version": 1}', '{"schema_version": 1, "sha256": 5}',
    '{"schema_version": 1, "sha256": "x"}', "[" * 100_000,
)  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_record_is_named(folder: Path, text: str) -> None:
    (folder / "classifier.json").write_text(text)
    start = f"classifier {str(folder / 'classifier.json')!r} is damaged: "
    with pytest.raises(DataError, match=f"^{re.escape(start)}.*; restore the folder, or fit again$"):
        load(folder)


def test_bytes_that_are_no_text_are_damage(folder: Path) -> None:
    (folder / "classifier.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r" is damaged: .*; restore the folder, or fit again$"):
        load(folder)


def test_a_newer_schema_is_refused(folder: Path) -> None:
    rewrite(folder, schema_version=2)
    text = (
        f"classifier {str(folder)!r} has schema version 2, this convwise reads 1; "
        "use the convwise that wrote it, or a newer one"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        load(folder)


def test_a_newer_decode_rule_is_refused(folder: Path) -> None:
    record = json.loads((folder / "classifier.json").read_text())["preprocessing"] | {"decode_rule": 99}
    rewrite(folder, preprocessing=record)
    with pytest.raises(DataError, match=r"^the classifier decodes images by rule 99, this convwise by rule 1; "):
        load(folder)


@pytest.mark.parametrize(
    "changes", [{"network": None}, {"classes": 3}, {"temperature": "hot"}, {"cost": {"params": 1}}, {"provenance": {}}]
)
def test_a_record_that_lacks_something_is_named(folder: Path, changes: dict[str, Any]) -> None:
    rewrite(folder, **changes)
    start = f"classifier {str(folder / 'classifier.json')!r} lacks or misstates "
    with pytest.raises(DataError, match=f"^{re.escape(start)}.*; fit again$"):
        load(folder)

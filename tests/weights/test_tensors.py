"""Whole files of weights: their tensors, their hash, and what they note of their network."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from convwise.errors import DataError, UsageError
from convwise.weights import serialise
from convwise.weights.tensors import read

from .saving import STATE, as_legacy, as_safetensors, as_zip


@pytest.mark.parametrize("save", [as_zip, as_legacy, as_safetensors])
def test_a_state_dict_is_read_whatever_the_file_is_called(save: Callable[[Any, Path], None], tmp_path: Path) -> None:
    save(STATE, tmp_path / "weights.bin")
    found = read(tmp_path / "weights.bin").state
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_tensors_do_not_depend_on_their_file(tmp_path: Path) -> None:
    safetensors.torch.save_file(STATE, tmp_path / "a.safetensors")
    found = read(tmp_path / "a.safetensors").state
    (tmp_path / "a.safetensors").write_bytes(bytes(1000))
    assert torch.equal(found["conv.weight"], STATE["conv.weight"])


@pytest.mark.parametrize("wrap", ["state_dict", "model"])
def test_what_training_scripts_put_around_a_state_dict_is_taken_off(wrap: str, tmp_path: Path) -> None:
    inner = {f"module.{name}": tensor for name, tensor in STATE.items()}
    torch.save({"epoch": 3, wrap: inner}, tmp_path / "a.pth")
    assert read(tmp_path / "a.pth").state.keys() == STATE.keys()


def test_floating_point_numbers_become_float32(tmp_path: Path) -> None:
    counter = "norm.num_batches_tracked"
    state = {"half": torch.ones(2).half(), "double": torch.ones(2).double(), counter: torch.tensor(3)}
    torch.save(state, tmp_path / "a")
    found = read(tmp_path / "a").state
    assert [found[name].dtype for name in ("half", "double", counter)] == [torch.float32, torch.float32, torch.int64]


def test_tensors_that_share_memory_are_given_each_their_own(tmp_path: Path) -> None:
    both, pad = torch.arange(6.0), torch.zeros(1000)
    state = {"a": both[:3], "b": both[1:4], "c": both.reshape(2, 3).t(), "pad": pad}
    torch.save(state, tmp_path / "a.pth")
    found = read(tmp_path / "a.pth").state
    found["a"].zero_()
    assert found["b"].tolist() == [1, 2, 3]
    assert found["c"].is_contiguous()
    assert found["c"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in found.values())


def test_the_digest_is_of_the_bytes_that_were_read_and_is_asked_about_first(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(STATE, path)
    seen: list[str] = []
    loaded = read(path, seen.append)
    assert [loaded.sha256] == seen == [hashlib.sha256(path.read_bytes()).hexdigest()]
    path.write_bytes(b"no weights at all")

    def refuse(digest: str) -> None:
        raise DataError(f"not {digest[:8]}")

    # printf 'no weights at all' | sha256sum
    with pytest.raises(DataError, match="^not " + hashlib.sha256(b"no weights at all").hexdigest()[:8]):
        read(path, refuse)


def test_a_file_that_is_replaced_between_hash_and_reading_does_not_matter(tmp_path: Path) -> None:
    path, other = tmp_path / "a.pth", tmp_path / "b.pth"
    torch.save(STATE, path)
    torch.save({"conv.weight": torch.zeros(1)}, other)

    def replaced(_: str) -> None:
        other.replace(path)

    assert read(path, replaced).state.keys() == STATE.keys()
    assert read(path).state.keys() == {"conv.weight"}


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file(STATE, path)
    with pytest.raises(
        DataError, match=re.escape(f"weights file {str(path)!r} was changed while it was read; repeat the command")
    ):
        read(path, lambda _: os.utime(path, ns=(1, 1)))


def test_a_file_of_ours_notes_its_network(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(serialise(STATE, "efficientnet_b0", {"same": True, "eps": 0.001}))
    loaded = read(path)
    assert loaded.note == ("efficientnet_b0", {"same": True, "eps": 0.001})
    assert all(torch.equal(loaded.state[name], tensor) for name, tensor in STATE.items())
    assert loaded.state["norm.num_batches_tracked"].shape == ()
    safetensors.torch.save_file(STATE, path, metadata={"format": "pt"})
    assert read(path).note is None
    torch.save(STATE, path)
    assert read(path).note is None


@pytest.mark.parametrize(
    ("network", "arguments", "sentence"),
    [
        ("resnet5O", {}, r"^network must be one of .*, got 'resnet5O'; did you mean .*'resnet50'"),
        ("resnet20", {"zzz": 1}, r"^argument of resnet20 must be one of in_channels, shortcut, got 'zzz'$"),
        ("resnet20", {"num_classes": 7}, r"^argument of resnet20 must be one of .*, got 'num_classes'$"),
        ("resnet50", {"v1_5": object()}, r"^v1_5 of resnet50 must be true or false, got <object"),
    ],
)
def test_a_note_that_nobody_could_open_is_not_written(
    network: str, arguments: dict[str, object], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        serialise(STATE, network, arguments)


def test_parameters_are_serialised_as_tensors_are() -> None:
    network = nn.Linear(2, 2)
    assert serialise(dict(network.named_parameters()), "lenet5") == serialise(network.state_dict(), "lenet5")


def test_a_tensor_that_numpy_does_not_have_is_refused() -> None:
    sentence = "tensor 'a' cannot be serialised: Got unsupported ScalarType BFloat16; give tensor.float().cpu()"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        serialise({"a": torch.ones(2).bfloat16()}, "lenet5")


def test_the_same_tensors_give_the_same_bytes_in_every_process() -> None:
    code = """
import hashlib, numpy as np
from convwise.weights import serialise
state = {f"layer{i}.weight": np.full((2, 3), i, np.float32).T for i in range(20)}
print(hashlib.sha256(serialise(state, "resnet18", {"shortcut": "B", "in_channels": 1})).hexdigest())
"""
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert len({run.stdout for run in runs}) == 1


@pytest.mark.parametrize("noted", ["[1]", "resnet50", '{"name": "resnet50"}', '{"name": 5, "arguments": {}}'])
def test_a_note_that_is_not_ours_is_refused(noted: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file(STATE, path, metadata={"convwise.network": noted})
    sentence = (
        f"weights file {str(path)!r} must have a JSON object of `name` and `arguments` as convwise.network in its "
        f"metadata, got {noted!r}; write it with convwise.weights.serialise"
    )
    with pytest.raises(DataError, match=re.escape(sentence) + "$"):
        read(path)

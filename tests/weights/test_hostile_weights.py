"""Files of weights, damaged and hostile: one clear sentence, and never code that runs."""

import argparse
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from convwise.errors import DataError
from convwise.weights.tensors import read

from .saving import STATE, as_legacy, as_zip


class Hostile:
    """Unpickled, it would make the file that it was given."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.path}'",)


def hostile_pickle(path: Path, ran: Path) -> None:
    path.write_bytes(pickle.dumps(Hostile(ran)))


def hostile_zip(path: Path, ran: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1), "more": Hostile(ran)}, path)


def hostile_legacy(path: Path, ran: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1), "more": Hostile(ran)}, path, _use_new_zipfile_serialization=False)


BAD_ZIP = "it is a zip archive that is damaged or cut short, or that torch.save did not write"
NO_CODE = "it is no file of weights, or holds more than tensors, which might be code and is not loaded"
CODE = ", which convwise never runs; save the network's state_dict() alone, best as safetensors"


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (hostile_pickle, NO_CODE),
        (hostile_zip, f"it holds code ({os.system.__module__}.system){CODE}"),
        (hostile_legacy, f"it holds code ({os.system.__module__}.system){CODE}"),
    ],
)
def test_code_in_a_file_is_not_run(write: Callable[[Path, Path], None], reason: str, tmp_path: Path) -> None:
    path, ran = tmp_path / "evil.pth", tmp_path / "ran"
    write(path, ran)
    with pytest.raises(DataError, match=re.escape(f"weights file {str(path)!r} cannot be read: {reason}") + "$"):
        read(path)
    assert not ran.exists()


def test_the_file_is_as_hostile_as_the_test_says(tmp_path: Path) -> None:
    hostile_pickle(tmp_path / "evil.pth", tmp_path / "ran")
    pickle.loads((tmp_path / "evil.pth").read_bytes())
    assert (tmp_path / "ran").exists()


def whole_network(path: Path) -> None:
    torch.save(nn.Linear(2, 2), path)


def checkpoint_with_options(path: Path) -> None:
    torch.save({"args": argparse.Namespace(lr=0.1), "state_dict": STATE}, path)


def program(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, its files are still about
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)


def empty(path: Path) -> None:
    path.touch()


def web_page(path: Path) -> None:
    path.write_text("\n<!doctype html><html>sign in</html>")


def cut_zip(path: Path) -> None:
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:500])


def cut_legacy(path: Path) -> None:
    as_legacy(STATE, path)
    path.write_bytes(path.read_bytes()[:-20])


def other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")


def cut_safetensors(path: Path) -> None:
    safetensors.torch.save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:-1])


def endless_safetensors(path: Path) -> None:
    path.write_bytes((1 << 62).to_bytes(8, "little") + b'{"a":')


def text(path: Path) -> None:
    path.write_text("epoch 1: 0.3")


def image(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (whole_network, f"it holds code (torch.nn.modules.linear.Linear){CODE}"),
        (checkpoint_with_options, f"it holds code (argparse.Namespace){CODE}"),
        (program, f"it holds code (TorchScript){CODE}"),
        (empty, "it is empty"),
        (web_page, "it is a web page, not weights; load the file itself"),
        (cut_zip, BAD_ZIP),
        (other_zip, BAD_ZIP),
        (cut_legacy, "it is damaged or cut short, or no file of weights"),
        (cut_safetensors, "it is a safetensors file that is damaged or cut short; get it again"),
        (endless_safetensors, "it is a safetensors file that is damaged or cut short; get it again"),
        (text, "it is text, not weights"),
        (image, NO_CODE),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_no_state_dict_is_told_in_one_line(write: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    write(path)
    with pytest.raises(DataError, match=re.escape(f"weights file {str(path)!r} cannot be read: {reason}") + "$"):
        read(path)


def test_a_name_that_would_not_stay_on_its_line_is_shown_escaped(tmp_path: Path) -> None:
    path = tmp_path / "a\n\x1b[31m.pth"
    text(path)
    with pytest.raises(DataError, match=r"a\\n\\x1b\[31m\.pth' cannot be read: it is text, not weights$"):
        read(path)
    with pytest.raises(DataError, match=r"a\\x00\.pth' cannot be read: embedded null byte$"):
        read(Path("a\0.pth"))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    sentence = f"weights file {str(tmp_path / 'a.pth')!r} cannot be read: No such file or directory"
    with pytest.raises(DataError, match=re.escape(sentence)):
        read(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ([torch.zeros(1)], "list"),
        ({}, "dict"),
        (torch.zeros(1), "Tensor"),
        ({"conv.weight": torch.zeros(1), "lr": 0.1}, "'lr': float"),
        ({3: torch.zeros(1)}, "3: Tensor"),
    ],
)
def test_another_content_is_told(content: Any, got: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(content, path)
    sentence = f"weights file {str(path)!r} must hold a state dict, tensors by name, got {got}"
    with pytest.raises(DataError, match=re.escape(sentence) + "$"):
        read(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    state: dict[str, Tensor] = {**STATE, "a": torch.tensor([1.0, value]), "b": torch.tensor(value).half()}
    torch.save(state, path)
    sentence = f"weights file {str(path)!r} holds numbers that are not finite, in a, b"
    with pytest.raises(DataError, match=re.escape(sentence)):
        read(path)


def sparse() -> Tensor:
    return torch.eye(3).to_sparse()


def compressed_rows() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls the layout beta
        return torch.eye(3).to_sparse_csr()


def nested() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls them a prototype
        return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


def without_data() -> Tensor:
    return torch.empty(2, device="meta")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (sparse, "sparse_coo, float32, cpu"),
        (compressed_rows, "sparse_csr, float32, cpu"),
        (nested, "nested"),
        (without_data, "strided, float32, meta"),
        (lambda: torch.ones(2, dtype=torch.complex64), "strided, complex64, cpu"),
        (lambda: torch.ones(2, dtype=torch.bool), "strided, bool, cpu"),
        (lambda: torch.ones(2, dtype=torch.int64), "strided, int64, cpu"),
        (lambda: torch.ones(2, dtype=torch.uint8), "strided, uint8, cpu"),
    ],
    ids=["sparse", "csr", "nested", "meta", "complex", "bool", "int64", "uint8"],
)
def test_other_tensors_than_a_network_s_are_refused(make: Callable[[], Tensor], kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({**STATE, "odd.weight": make()}, path)
    sentence = (
        f"weights file {str(path)!r} must hold dense tensors of floating-point numbers, got odd.weight: {kind}; save "
        "the state_dict() of the network as it was trained"
    )
    with pytest.raises(DataError, match="^" + re.escape(sentence) + "$"):
        read(path)


@pytest.mark.parametrize("save", [as_zip, as_legacy])
def test_a_tensor_that_claims_more_than_the_file_has_is_refused(
    save: Callable[[Any, Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "a.pth"
    save({"conv.weight": torch.ones(1).expand(10**13)}, path)
    size = path.stat().st_size
    sentence = (
        f"weights file {str(path)!r} cannot be read: its tensors would take 40,000,000.0 MB, the file has "
        f"{size / 1e6:,.1f}"
    )
    with pytest.raises(DataError, match="^" + re.escape(sentence) + "$"):
        read(path)


def test_a_file_that_unpacks_to_more_than_it_is_is_refused(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.pth", tmp_path / "a.pth"
    torch.save({"conv.weight": torch.zeros(1_000_000)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
    with pytest.raises(DataError, match=r"cannot be read: it unpacks to 4\.0 MB, the file has 0\.0$"):
        read(path)


def test_a_record_that_is_shorter_than_its_tensor_is_refused(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.pth", tmp_path / "a.pth"
    torch.save({"conv.weight": torch.zeros(100_000), "other.weight": torch.ones(200_000)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name)[:100_000] if name.endswith("data/0") else source.read(name))
    with pytest.raises(DataError, match=re.escape(f"cannot be read: {BAD_ZIP}") + "$"):
        read(path)


def test_a_folder_is_no_file_of_weights(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=re.escape(f"weights file {str(tmp_path)!r} cannot be read: it is no file") + "$"
    ):
        read(tmp_path)

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from convwise.data.inputs import list_samples
from convwise.data.samples import list_folder
from convwise.errors import DataError


def test_each_kind_of_data_is_known_by_what_it_is(tmp_path: Path, photos: Path, make_idx: Callable[..., Path]) -> None:
    assert list_samples(photos) == list_folder(photos)
    idx = make_idx(tmp_path / "idx.csv", "t10k", np.zeros((2, 4, 4), np.uint8), [0, 1])  # a folder, by its name or not
    assert {s.split for s in list_samples(idx).samples} == {"test"}
    manifest = tmp_path / "photos.CSV"
    manifest.write_text(f"path,label\n{photos}/red/img0.jpg,red\n")
    assert [s.label for s in list_samples(manifest).samples] == ["red"]


@pytest.mark.parametrize("name", ["absent.csv", "x" * 300 + ".csv"])
def test_what_is_not_there_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"^data '.+\.csv' does not exist; give a folder .* or a CSV manifest$"):
        list_samples(tmp_path / name)

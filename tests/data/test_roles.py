import hashlib
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from convwise.data.roles import assign, folds, held_out, position, split_flat
from convwise.data.samples import Sample
from convwise.errors import DataError


def content(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def flat(counts: dict[str, int]) -> list[Sample]:
    """Images of distinct contents, by class."""
    return [Sample(f"{c}/{i}.jpg", c, sha256=content((c, i))) for c, n in counts.items() for i in range(n)]


def in_splits(counts: dict[str, dict[str, int]]) -> list[Sample]:
    return [
        Sample(f"{split}/{c}/{i}.jpg", c, split, sha256=content((split, c, i)))
        for split, classes in counts.items()
        for c, n in classes.items()
        for i in range(n)
    ]


def side(samples: Sequence[Sample], split: str) -> set[str]:
    return {s.sha256 for s in samples if s.split == split}


def test_a_position_is_the_hash_of_salt_and_key() -> None:
    digest = hashlib.sha256(b"salt:key").hexdigest()
    assert position("key", "salt") == int(digest[:14], 16) / 2**56
    assert 0 <= position("key", "salt") < 1
    assert position("key", "salt") != position("key", "other")


def test_a_fifth_of_a_flat_folder_is_measured() -> None:
    roles = assign(flat({"a": 1000, "b": 1000}), 0)
    assert Counter(s.split for s in roles.samples)["test"] == pytest.approx(400, abs=54)  # 3 deviations
    assert (roles.measured, roles.chooses, roles.classes) == ("test", None, ("a", "b"))
    assert roles.sentences == {
        "train": "fits the weights and, by parts that are held out, makes every choice",
        "test": "measured once; it chose nothing",
    }


def test_the_side_of_an_image_is_its_own_hash() -> None:
    roles = assign(flat({"a": 50, "b": 50}), 3)
    for s in roles.samples:
        assert (s.split == "test") == (position(s.sha256, "split-3") < 0.2)


def test_the_split_stays_when_files_are_added_removed_renamed_or_moved() -> None:
    samples = flat({"a": 60, "b": 60})
    before = {s.sha256: s.split for s in split_flat(samples, 0)}
    more = split_flat([*samples, *flat({"c": 60})], 0)
    fewer = split_flat(samples[10:110], 0)
    moved = split_flat([replace(s, path=f"new{i}.png", label="x") for i, s in enumerate(reversed(samples))], 0)
    for after in (more, fewer, moved):
        assert all(before[s.sha256] == s.split for s in after if s.sha256 in before)


def test_the_seed_salts_the_split() -> None:
    samples = flat({"a": 100})
    assert side(split_flat(samples, 0), "test") != side(split_flat(samples, 1), "test")
    assert side(split_flat(samples, 1), "test") == side(split_flat(samples, 1), "test")


def test_copies_stand_on_one_side() -> None:
    samples = flat({"a": 40, "b": 40})
    copies = [replace(s, path=f"copy/{s.path}") for s in samples]
    out = split_flat([*samples, *copies], 0)
    assert not side(out, "train") & side(out, "test")


def test_a_group_stands_on_one_side() -> None:
    samples = [replace(s, group=str(i // 8)) for i, s in enumerate(flat({"a": 80, "b": 80}))]
    out = split_flat(samples, 0)
    sides: dict[str | None, set[str | None]] = {}
    for s in out:
        sides.setdefault(s.group, set()).add(s.split)
    assert all(len(found) == 1 for found in sides.values())
    assert {s.split for s in out} == {"train", "test"}


@pytest.mark.parametrize("seed", range(20))
def test_groups_with_a_photo_in_common_stand_on_one_side(seed: int) -> None:
    """0 shares a photo with 1, and 1 another with 2; a third photo has a copy without a group."""
    samples = [replace(s, group=str(i // 8)) for i, s in enumerate(flat({"a": 80, "b": 80}))]
    samples[8] = replace(samples[8], sha256=samples[0].sha256)
    samples[16] = replace(samples[16], sha256=samples[9].sha256)
    samples[159] = replace(samples[159], group=None, sha256=samples[1].sha256)
    out = split_flat(samples, seed)
    assert len({s.split for i, s in enumerate(out) if s.group in ("0", "1", "2") or i == 159}) == 1
    assert not side(out, "train") & side(out, "test")
    order = random.Random(seed).sample(samples, len(samples))
    assert {s.path: s.split for s in split_flat(order, seed)} == {s.path: s.split for s in out}
    numbers = folds(samples, 5, seed)
    assert len({f for i, (s, f) in enumerate(zip(samples, numbers, strict=True)) if s.group in tuple("012")}) == 1


def test_the_side_of_a_group_is_the_hash_of_its_name() -> None:
    samples = [replace(s, group=str(i // 8)) for i, s in enumerate(flat({"a": 800}))]
    for s in split_flat(samples, 3):
        assert (s.split == "test") == (position(f"group:{s.group}", "split-3") < 0.2)


def test_the_order_of_the_samples_does_not_matter() -> None:
    samples = flat({"a": 30, "b": 1, "c": 2})
    shuffled = random.Random(0).sample(samples, len(samples))
    assert {s.path: s.split for s in split_flat(samples, 0)} == {s.path: s.split for s in split_flat(shuffled, 0)}


@pytest.mark.parametrize("seed", range(20))
def test_the_one_image_of_a_class_is_learnt_from(seed: int) -> None:
    roles = assign(flat({"a": 30, "lonely": 1}), seed)
    assert [s.split for s in roles.samples if s.label == "lonely"] == ["train"]


@pytest.mark.parametrize("seed", range(20))
def test_a_class_of_two_images_has_one_on_each_side(seed: int) -> None:
    roles = assign(flat({"a": 30, "pair": 2}), seed)
    assert sorted(str(s.split) for s in roles.samples if s.label == "pair") == ["test", "train"]


def test_the_image_nearest_the_border_changes_sides() -> None:
    for seed in range(50):
        samples = flat({"a": 4})
        where = {s.sha256: position(s.sha256, f"split-{seed}") for s in samples}
        if all(p >= 0.2 for p in where.values()):
            out = split_flat(samples, seed)
            assert side(out, "test") == {min(where, key=lambda h: where[h])}
            return
    pytest.fail("no seed puts all four images into train")


@pytest.mark.parametrize("seed", range(40))
def test_one_photo_in_two_classes_leaves_every_class_something_to_learn_from(seed: int) -> None:
    shared = content("shared")
    samples = [Sample("a/1", "a", sha256=shared), Sample("b/1", "b", sha256=shared), *flat({"b": 1, "c": 9})]
    roles = assign(samples, seed)
    assert {s.label for s in roles.samples if s.split == "train"} == {"a", "b", "c"}


def test_with_train_val_and_test_val_chooses_and_test_is_measured() -> None:
    samples = in_splits({"train": {"a": 2, "b": 2}, "val": {"a": 1}, "test": {"b": 1}})
    roles = assign(samples, 0)
    assert (roles.chooses, roles.measured) == ("val", "test")
    assert roles.samples == tuple(samples)
    assert roles.sentences == {
        "train": "fits the weights", "val": "makes every choice", "test": "measured once; it chose nothing",
    }  # fmt: skip


@pytest.mark.parametrize("other", ["val", "test"])
def test_with_train_and_one_other_split_that_one_is_measured(other: str) -> None:
    roles = assign(in_splits({"train": {"a": 2, "b": 2}, other: {"a": 1, "b": 1}}), 0)
    assert (roles.chooses, roles.measured) == (None, other)
    assert list(roles.sentences) == ["train", other]


def test_a_train_folder_alone_is_split_like_a_flat_one() -> None:
    samples = in_splits({"train": {"a": 40, "b": 40}})
    alone = assign(samples, 5)
    as_flat = assign([replace(s, split=None) for s in samples], 5)
    assert alone == as_flat
    assert alone.measured == "test"


@pytest.mark.parametrize(("splits", "names"), [(["val"], "val"), (["test"], "test"), (["val", "test"], "test, val")])
def test_without_train_there_is_nothing_to_learn_from(splits: list[str], names: str) -> None:
    text = f"no usable image in split `train`, only in {names}; `train` is what the classifier learns from"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        assign(in_splits({split: {"a": 1, "b": 1} for split in splits}), 0)


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_class_that_train_lacks_is_an_error(split: str) -> None:
    other = "test" if split == "val" else "val"
    samples = in_splits(
        {"train": {"a": 2, "b": 2}, split: {"a": 1, "x10": 1, "x2": 1, "x1": 1, "x3": 1}, other: {"a": 1}}
    )
    text = (
        f"`{split}` has 4 classes that `train` lacks: 'x1', 'x2', 'x3'; "
        f"add images of them to `train`, or take them out of `{split}`"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        assign(samples, 0)


@pytest.mark.parametrize("samples", [flat({"only": 9}), in_splits({"train": {"only": 3}, "test": {"only": 3}})])
def test_one_class_is_no_classification(samples: list[Sample]) -> None:
    text = "only one class has usable training images: 'only'; a classifier needs two or more"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        assign(samples, 0)


def test_one_image_a_class_leaves_nothing_to_measure() -> None:
    text = (
        "nothing is left to measure: every one of the 2 usable images is needed to train; "
        "add images, two a class at least"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        assign(flat({"a": 1, "b": 1}), 0)


def test_one_file_under_two_labels_leaves_nothing_to_measure_and_is_told_for_what_it_is() -> None:
    samples = [replace(s, sha256="1" * 64) for s in flat({"a": 2, "b": 1})]
    text = (
        "nothing is left to measure: every one of the 3 usable images (1 different file) is needed to train; "
        "add images, two a class at least"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        assign(samples, 0)


def test_one_group_a_class_leaves_nothing_to_measure() -> None:
    samples = [replace(s, group=s.label) for s in flat({"a": 5, "b": 5})]
    text = (
        "nothing is left to measure: every one of the 10 usable images is needed to train; "
        "add groups, two a class at least"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        assign(samples, 0)


def test_classes_are_in_natural_order_and_labels_are_their_places() -> None:
    samples = in_splits({"train": {"c10": 1, "c9": 1, "B": 1, "a": 1}, "test": {"c10": 1}})
    roles = assign(samples, 0)
    assert roles.classes == ("a", "B", "c9", "c10")
    assert roles.labels(roles.samples) == [3, 2, 1, 0, 3]


def test_a_tenth_of_train_is_held_out_apart_from_the_flat_split() -> None:
    samples = flat({"a": 1000, "b": 1000})
    out = held_out(samples, 0)
    assert sum(out) == pytest.approx(200, abs=41)  # 3 deviations
    measured = [s.split == "test" for s in split_flat(samples, 0)]
    both = sum(h and m for h, m in zip(out, measured, strict=True))
    assert both == pytest.approx(40, abs=19)  # independent: a fiftieth, not a tenth


@pytest.mark.parametrize("seed", range(10))
def test_held_out_keeps_each_class_on_both_sides_and_copies_together(seed: int) -> None:
    samples = flat({"a": 12, "pair": 2, "lonely": 1})
    both = [*samples, *(replace(s, path=f"copy/{s.path}") for s in samples)]
    out = held_out(both, seed)
    by_class = {c: {h for s, h in zip(both, out, strict=True) if s.label == c} for c in ("a", "pair", "lonely")}
    assert by_class == {"a": {True, False}, "pair": {True, False}, "lonely": {False}}
    assert out[: len(samples)] == out[len(samples) :]


def test_folds_deal_every_class_evenly() -> None:
    samples = flat({"a": 23, "b": 7, "c": 5, "d": 100})
    numbers = folds(samples, 5, 0)
    assert set(numbers) == set(range(5))
    for c in "abcd":
        counts = Counter(f for s, f in zip(samples, numbers, strict=True) if s.label == c)
        assert max(counts.values()) - min(counts[f] for f in range(5)) <= 1
    total = Counter(numbers)
    assert max(total.values()) - min(total.values()) <= 1


def test_many_small_classes_fill_all_folds() -> None:
    assert set(folds(flat({f"c{i}": 2 for i in range(10)}), 5, 0)) == set(range(5))


def test_copies_share_a_fold_and_the_order_does_not_matter() -> None:
    samples = flat({"a": 20, "b": 20})
    copies = [replace(s, path=f"copy/{s.path}") for s in samples]
    shuffled = random.Random(1).sample([*samples, *copies], 80)
    expected = dict(zip((s.sha256 for s in samples), folds(samples, 5, 0), strict=True))
    assert folds(shuffled, 5, 0) == [expected[s.sha256] for s in shuffled]
    assert folds(samples, 5, 1) != folds(samples, 5, 0)


def test_a_group_shares_a_fold() -> None:
    samples = [replace(s, group=str(i % 7)) for i, s in enumerate(flat({"a": 35}))]
    numbers = folds(samples, 5, 0)
    assert all(len({f for s, f in zip(samples, numbers, strict=True) if s.group == str(g)}) == 1 for g in range(7))

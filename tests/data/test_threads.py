import os
import threading
from collections.abc import Iterator

import pytest

from convwise.data.threads import map_in_order, usable_cpus


def test_results_come_in_the_order_of_the_items() -> None:
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(30)  # the first ends after the second
        if item == 1:
            second_is_done.set()
        return item * item

    assert list(map_in_order(work, range(30), 2)) == [i * i for i in range(30)]


@pytest.mark.parametrize("threads", [1, 3])
def test_few_items_are_taken_before_a_result_is_used(threads: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for i in range(1000):
            taken = i + 1
            yield i

    results = map_in_order(lambda item: item, items(), threads)
    for done in range(1, 6):
        next(results)
        assert taken < done + 4 * threads
    results.close()


def test_an_error_reaches_the_caller_in_its_place() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise KeyError("three")
        return item

    results = map_in_order(work, range(10), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="three"):
        next(results)


def test_what_waits_is_cancelled_when_the_caller_stops() -> None:
    gate, started = threading.Event(), []

    def work(item: int) -> int:
        started.append(item)
        if item > 0:
            assert gate.wait(30)
        return item

    results = map_in_order(work, range(100), 1)
    assert next(results) == 0
    gate.set()
    results.close()
    assert len(started) <= 5


def test_no_items_give_no_results() -> None:
    assert list(map_in_order(str, [], 2)) == []


def test_the_processors_are_those_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    assert usable_cpus() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cpus() == 1

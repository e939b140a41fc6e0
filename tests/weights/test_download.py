"""Downloads against a server on loopback: what breaks off is taken up again, what is wrong never gets the name."""

import errno
import hashlib
import io
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from http.client import HTTPMessage
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import Request

import pytest

from convwise.errors import DataError, MachineError
from convwise.places import cache_dir
from convwise.weights import download as module
from convwise.weights.download import download
from convwise.weights.redirects import Redirects

from .loopback import Site, serve

T = TypeVar("T")
CONTENT = bytes(range(256)) * 10_000  # 2.56 MB: three steps of progress
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(module, "PAUSES", (0, 0, 0))
    with serve() as made:
        made.files["net.pth"] = CONTENT
        yield made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "weights" / "net.pth"


def files(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


@pytest.mark.parametrize("sha256", [SHA256, SHA256[:8]], ids=["all digits", "eight digits"])
def test_a_file_arrives_whole_and_leaves_nothing_beside_it(site: Site, target: Path, sha256: str) -> None:
    download(site.url("net.pth"), target, sha256)
    assert target.read_bytes() == CONTENT
    assert files(target) == ["net.pth"]
    assert site.asked == [None]


def test_a_file_that_is_there_is_not_asked_for(site: Site, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"mine")
    download(site.url("net.pth"), target, SHA256)
    assert target.read_bytes() == b"mine"
    assert site.asked == []


def test_a_connection_that_breaks_is_taken_up_where_it_broke(site: Site, target: Path) -> None:
    site.cuts = [1_000_000, 500_001]
    download(site.url("net.pth"), target, SHA256)
    assert target.read_bytes() == CONTENT
    assert site.asked == [None, "bytes=1000000-", "bytes=1500001-"]


def test_what_an_earlier_call_has_loaded_is_not_loaded_again(site: Site, target: Path) -> None:
    site.cuts = [700_000, 0]
    sentence = (
        f"{site.url('net.pth')} could not be loaded: the connection ended 1.9 MB before the file does; 0.7 MB of it "
        f"are kept, and the same command goes on from there. Without a network, put the file at {target}"
    )
    with pytest.raises(MachineError, match=re.escape(sentence)):
        download(site.url("net.pth"), target, SHA256)
    assert files(target) == ["net.pth.part"]
    assert (target.parent / "net.pth.part").stat().st_size == 700_000
    site.asked.clear()
    download(site.url("net.pth"), target, SHA256)
    assert site.asked == ["bytes=700000-"]
    assert target.read_bytes() == CONTENT
    assert files(target) == ["net.pth"]


def test_a_part_that_is_whole_is_checked_and_named(site: Site, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("net.pth.part").write_bytes(CONTENT)
    download(site.url("net.pth"), target, SHA256)
    assert site.asked == [f"bytes={len(CONTENT)}-"]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"of another file", bytes(len(CONTENT) + 1)], ids=["shorter", "longer"])
def test_a_part_of_another_file_is_loaded_anew(site: Site, target: Path, part: bytes) -> None:
    target.parent.mkdir()
    target.with_name("net.pth.part").write_bytes(part)
    download(site.url("net.pth"), target, SHA256)
    assert site.asked == [f"bytes={len(part)}-", None]
    assert target.read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_gives_the_file_from_the_start(site: Site, target: Path) -> None:
    site.ranges, site.cuts = False, [1_000_000]
    download(site.url("net.pth"), target, SHA256)
    assert site.asked == [None, "bytes=1000000-"]
    assert target.read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_and_breaks_off_again_is_given_up(site: Site, target: Path) -> None:
    site.ranges, site.cuts = False, [1_000_000] * 10
    with pytest.raises(
        MachineError, match=r"the connection ended 1\.6 MB before the file does; 1\.0 MB of it are kept"
    ):
        download(site.url("net.pth"), target, SHA256)
    assert len(site.asked) == 2


def test_a_flaky_line_goes_on_as_long_as_each_attempt_brings_something(site: Site, target: Path) -> None:
    site.cuts = [100_000] * 20
    download(site.url("net.pth"), target, SHA256)
    assert site.asked == [None, *(f"bytes={n}00000-" for n in range(1, 21))]
    assert target.read_bytes() == CONTENT


def test_an_attempt_that_brings_nothing_is_the_last(site: Site, target: Path) -> None:
    site.cuts = [1000, 1000, 0]
    with pytest.raises(MachineError, match="are kept, and the same command goes on from there"):
        download(site.url("net.pth"), target, SHA256)
    assert site.asked == [None, "bytes=1000-", "bytes=2000-"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(site: Site, target: Path, status: int) -> None:
    site.busy = [status] * 3
    download(site.url("net.pth"), target, SHA256)
    assert site.asked == [None] * 4
    assert target.read_bytes() == CONTENT


def test_no_redirection_leads_away_from_encryption() -> None:
    handler, headers = Redirects(), HTTPMessage()
    headers["X-Linked-ETag"] = f'"{SHA256}"'
    request = Request("https://example.org/net.pth")
    sentence = (
        "https://example.org/net.pth leads to http://example.org/net.pth, which is not encrypted; it was not followed"
    )
    with pytest.raises(DataError, match=re.escape(sentence) + "$"):
        handler.redirect_request(request, io.BytesIO(), 302, "Found", headers, "http://example.org/net.pth")
    assert handler.stated == ""
    followed = handler.redirect_request(request, io.BytesIO(), 302, "Found", headers, "https://example.org/a.pth")
    assert followed is not None
    assert followed.full_url == "https://example.org/a.pth"
    assert handler.stated == SHA256


def test_another_file_is_refused_and_not_kept(site: Site, target: Path) -> None:
    site.files["net.pth"] = b"<html>sign in</html>"
    found = hashlib.sha256(b"<html>sign in</html>").hexdigest()
    sentence = (
        f"{site.url('net.pth')} gave another file than the published one: its sha256 is {found}, expected "
        f"{SHA256[:8]}; it was deleted. Something in between may have answered in the server's place; try another "
        f"network, or put the right file at {target}"
    )
    with pytest.raises(DataError, match=re.escape(sentence)):
        download(site.url("net.pth"), target, SHA256[:8])
    assert files(target) == []


def test_a_truncated_file_without_a_stated_length_is_refused(site: Site, target: Path) -> None:
    site.sized, site.cuts = False, [1_000_000]
    with pytest.raises(DataError, match=f"expected {SHA256}; it was deleted"):
        download(site.url("net.pth"), target, SHA256)
    assert files(target) == []


def test_a_file_without_a_stated_length_arrives(site: Site, target: Path) -> None:
    site.sized = False
    download(site.url("net.pth"), target, SHA256)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404])
def test_a_file_that_the_server_refuses_is_absent_data(site: Site, target: Path, status: int) -> None:
    site.status = status
    reason = {403: "Forbidden", 404: "Not Found"}[status]
    sentence = (
        f"{site.url('net.pth')} is not given out: the server says {status} {reason}; get the file elsewhere and put it "
        f"at {target}"
    )
    with pytest.raises(DataError, match=re.escape(sentence)):
        download(site.url("net.pth"), target, SHA256)
    assert files(target) == []


def test_a_server_out_of_order_is_the_machine_s_trouble(site: Site, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("net.pth.part").write_bytes(CONTENT[:5])
    site.status = 503
    sentence = (
        f"{site.url('net.pth')} could not be loaded: the server says 503 Service Unavailable; try again later, what "
        "was loaded is kept"
    )
    with pytest.raises(MachineError, match=re.escape(sentence)):
        download(site.url("net.pth"), target, SHA256)
    assert files(target) == ["net.pth.part"]


def test_no_network_is_the_machine_s_trouble(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    url = f"http://127.0.0.1:{port}/net.pth"
    sentence = (
        f"{url} could not be loaded: Connection refused; the same command tries again. "
        f"Without a network, put the file at {target}"
    )
    with pytest.raises(MachineError, match=re.escape(sentence)):
        download(url, target, SHA256)
    assert files(target) == []


def test_a_server_that_falls_silent_is_the_machine_s_trouble(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    site.gate = threading.Event()
    with pytest.raises(MachineError, match=r"could not be loaded: timed out; the same command tries again"):
        download(site.url("net.pth"), target, SHA256)
    site.gate.set()


def test_a_full_disk_is_the_machine_s_trouble_and_keeps_the_part(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        file = opened(path, mode, *args, **kwargs)
        return _Full(file) if mode == "wb" and path.suffix == ".part" else file

    monkeypatch.setattr(Path, "open", full)
    sentence = (
        f"net.pth could not be written in {str(cache_dir())!r}: No space left on device; what was finished is kept. "
        "Free some space"
    )
    with pytest.raises(MachineError, match=re.escape(sentence)):
        download(site.url("net.pth"), target, SHA256)
    assert (target.parent / "net.pth.part").read_bytes() == CONTENT[:1_000_000]
    monkeypatch.undo()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    download(site.url("net.pth"), target, SHA256)
    assert site.asked == [None, "bytes=1000000-"]
    assert target.read_bytes() == CONTENT


class _Full:
    """A file on a disk with room for one chunk."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_Full":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> int:
        if self._file.tell():
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(self._file.write(data))


def test_a_folder_that_cannot_be_made_is_the_machine_s_trouble(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"net\.pth could not be written in .*: (File exists|Not a directory); "):
        download(site.url("net.pth"), tmp_path / "file" / "net.pth", SHA256)


def test_ctrl_c_keeps_what_was_loaded_and_frees_the_place(site: Site, target: Path) -> None:
    def interrupt(items: Iterable[T], total: int, what: str) -> Iterator[T]:  # noqa: ARG001
        for item in items:
            yield item
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(site.url("net.pth"), target, SHA256, track=interrupt)
    assert files(target) == ["net.pth.part"]
    download(site.url("net.pth"), target, SHA256)
    assert site.asked == [None, "bytes=1000000-"]
    assert target.read_bytes() == CONTENT


def test_progress_counts_the_megabytes_that_are_missing(site: Site, target: Path) -> None:
    said = []

    def track(items: Iterable[T], total: int, what: str) -> Iterable[T]:
        steps = list(items)
        said.append((what, total, len(steps)))
        return steps

    site.cuts = [1_000_000]
    download(site.url("net.pth"), target, SHA256, track=track)
    assert said == [("loading net.pth, 2.6 MB", 3, 1), ("loading net.pth, 2.6 MB", 2, 2)]


def test_the_hash_that_the_hub_states_is_checked_where_none_is_published(site: Site, target: Path) -> None:
    site.moved["model"] = {"Location": "/net.pth", "X-Linked-ETag": f'"{SHA256}"'}
    download(site.url("model"), target)
    assert target.read_bytes() == CONTENT
    assert site.asked == [None]
    assert files(target) == ["net.pth", "net.pth.sha256"]
    assert target.with_name("net.pth.sha256").read_text() == f"{SHA256}\n"
    site.moved["model"]["X-Linked-ETag"] = f'"{"0" * 64}"'
    with pytest.raises(DataError, match=f"its sha256 is {SHA256}, expected {'0' * 64}; it was deleted"):
        download(site.url("model"), target.with_name("other.pth"))


def test_only_the_first_server_s_word_on_the_hash_counts(site: Site, target: Path) -> None:
    site.moved["model"] = {"Location": "/elsewhere", "X-Linked-ETag": f'"{SHA256}"'}
    site.moved["elsewhere"] = {"Location": "/net.pth", "X-Linked-ETag": f'"{"0" * 64}"'}
    site.etag = f'"{"1" * 64}"'
    download(site.url("model"), target)
    assert target.read_bytes() == CONTENT


def test_a_redirection_keeps_the_range(site: Site, target: Path) -> None:
    site.moved["model"] = {"Location": "/net.pth", "X-Linked-ETag": SHA256}
    site.cuts = [1_000_000]
    download(site.url("model"), target)
    assert site.asked == [None, "bytes=1000000-"]


def test_an_entity_tag_counts_where_it_is_a_sha256(site: Site, target: Path) -> None:
    site.etag = f'W/"{SHA256}"'
    download(site.url("net.pth"), target)
    assert target.read_bytes() == CONTENT


def test_a_whole_part_is_loaded_anew_where_only_a_whole_answer_states_the_hash(site: Site, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("net.pth.part").write_bytes(CONTENT)
    site.etag = f'"{SHA256}"'
    download(site.url("net.pth"), target)
    assert site.asked == [f"bytes={len(CONTENT)}-", None]
    assert target.read_bytes() == CONTENT


def test_a_file_that_nothing_vouches_for_is_refused(site: Site, target: Path) -> None:
    site.etag = '"0123abcd"'
    sentence = (
        f"{site.url('net.pth')} cannot be checked: no hash is published for it, and the server states none; if you "
        f"trust it, put the file at {target}"
    )
    with pytest.raises(DataError, match=re.escape(sentence)):
        download(site.url("net.pth"), target)
    assert files(target) == []


CHILD = """
import sys, pathlib
from convwise.weights.download import download
print("started", flush=True)
download(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3])
"""


def test_of_two_processes_one_loads_and_both_have_the_file(site: Site, target: Path) -> None:
    site.gate = threading.Event()
    command = [sys.executable, "-c", CHILD, site.url("net.pth"), str(target), SHA256]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
    site.gate.set()
    for process in both:
        process.communicate(timeout=60)
    assert [process.returncode for process in both] == [0, 0]
    assert target.read_bytes() == CONTENT
    assert site.asked == [None]
    assert files(target) == ["net.pth"]

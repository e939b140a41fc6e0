"""A web server on loopback that misbehaves on request."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What the server gives, and what it was asked for.

    Attributes:
        files: path -> content.
        ranges: whether it honours Range.
        cuts: bytes after which the first, second, ... answer breaks off; None for a whole one, as all later ones are.
        status: of every answer, where it is an error.
        busy: status of the first, second, ... answer, before those that are right.
        moved: path -> headers of a redirection.
        etag: of every file; empty for none.
        sized: whether answers say how long they are.
        asked: Range of every request so far, None where it had none.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    cuts: list[int | None] = field(default_factory=list)
    status: int = 0
    busy: list[int] = field(default_factory=list)
    moved: dict[str, dict[str, str]] = field(default_factory=dict)
    etag: str = ""
    sized: bool = True
    asked: list[str | None] = field(default_factory=list)
    root: str = ""
    gate: threading.Event | None = None  # answers wait for it

    def url(self, path: str) -> str:
        return f"{self.root}/{path}"


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site, path = self.site, self.path.lstrip("/")
        if site.gate:
            site.gate.wait(20)
        if path in site.moved:
            self.send_response(302)
            for name, value in site.moved[path].items():
                self.send_header(name, value)
            self.end_headers()
            return
        asked = self.headers.get("Range")
        site.asked.append(asked)
        status = site.busy.pop(0) if site.busy else site.status
        if status or path not in site.files:
            self.send_error(status or 404)
            return
        content = site.files[path]
        found = re.fullmatch(r"bytes=(\d+)-", asked or "") if site.ranges else None
        start = int(found[1]) if found else 0
        if found and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if found else 200)
        if found:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if site.sized:
            self.send_header("Content-Length", str(len(content) - start))
        if site.etag:
            self.send_header("ETag", site.etag)
        self.end_headers()
        cut = site.cuts.pop(0) if site.cuts else None
        self.wfile.write(content[start:] if cut is None else content[start : start + cut])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up."""


@contextmanager
def serve() -> Iterator[Site]:
    """Run a server for a while."""
    site = Site()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
    site.root = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""Where a server sends on to, and what it says of the file's hash on the way."""

import re
from http.client import HTTPMessage
from typing import IO
from urllib.request import HTTPRedirectHandler, Request

from ..errors import DataError


class Redirects(HTTPRedirectHandler):
    """Follows redirections and keeps the hash that the first server states (the Hugging Face hub's X-Linked-ETag).

    None leads from https to http: a hash that is stated on the way would be worth nothing.
    """

    stated = ""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """What to ask next; called by urllib."""
        if req.type == "https" and not newurl.startswith("https:"):
            raise DataError(f"{req.full_url} leads to {newurl}, which is not encrypted; it was not followed")
        self.stated = self.stated or sha256_in(headers.get("X-Linked-ETag"))
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def sha256_in(etag: str | None) -> str:
    """The SHA-256 that an entity tag is; empty where it is something else."""
    found = re.fullmatch(r'(?:W/)?"?([0-9a-f]{64})"?', etag or "")
    return found[1] if found else ""

"""One file by HTTPS: resumed where it was cut, checked against its SHA-256, there whole or not at all."""

from __future__ import annotations

import contextlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from clir.support.errors import ClirError
from clir.support.files import READ_BLOCK, sha256_of_file, wrapping_disk_errors

ATTEMPTS = 5
TIMEOUT_SECONDS = 30.0


def secure_opener() -> urllib.request.OpenerDirector:
    """An opener that knows HTTPS only: neither a plain address nor a redirect to one gets through."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


class NotThere(ClirError):
    """The server says that it has no such file (404)."""


def download(
    url: str,
    path: str | Path,
    sha256: str,
    *,
    opener: urllib.request.OpenerDirector | None = None,
    advance: Callable[[int], None] = lambda _: None,
    pause_seconds: float = 1.0,
) -> None:
    """Fetch `url` to `path`, which appears only when all its bytes are there and have the given SHA-256.

    What has arrived is kept in `.NAME.partial` beside `path` and the next attempt, in this process
    or a later one, asks for the rest. Several attempts are made, with growing pauses. `advance` is
    told the bytes as they come. `opener` replaces the one that knows HTTPS only (for tests).

    Raises NotThere for a 404, ClirError if the server cannot be reached or the content is not the
    one expected.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    opener = opener or secure_opener()
    with wrapping_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(ATTEMPTS):
        resumed = partial.exists() and partial.stat().st_size > 0
        try:
            _receive(url, partial, opener, advance)
        except (OSError, http.client.HTTPException) as error:
            _refuse(url, error, last=attempt == ATTEMPTS - 1)
            time.sleep(pause_seconds * 2**attempt)
            continue
        if sha256_of_file(partial) == sha256:
            with wrapping_disk_errors(path):
                os.replace(partial, path)
            return
        partial.unlink()
        if not resumed:
            raise ClirError(f"{url} is not the file that was expected: its SHA-256 is not {sha256}")
        # The rest may have been that of another version of the file: once more from the start.
    raise ClirError(f"cannot download {url}: its SHA-256 is not {sha256}")


def _receive(url: str, partial: Path, opener: urllib.request.OpenerDirector, advance: Callable[[int], None]) -> None:
    """Append to `partial` what it lacks; raises OSError or HTTPException if the connection breaks before the end."""
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "clir"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = opener.open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            # Nothing is left to ask for, or the file there is another one: its checksum will tell.
            return
        raise
    with contextlib.closing(response):
        continued = response.status == http.client.PARTIAL_CONTENT and have > 0
        left = response.headers.get("Content-Length")
        with wrapping_disk_errors(partial), open(partial, "ab" if continued else "wb") as handle:
            received = _copy(response, handle.write, advance)
    if left is not None and received < int(left):
        raise ConnectionError(f"connection lost after {received:,} of {int(left):,} bytes")


def _copy(response: http.client.HTTPResponse, write: Callable[[bytes], int], advance: Callable[[int], None]) -> int:
    received = 0
    while True:
        try:
            # Not read(): that waits for a whole block, and what came before a cut would be lost.
            block = response.read1(READ_BLOCK)
        except (http.client.HTTPException, OSError) as error:
            raise http.client.HTTPException(f"connection lost: {error}") from error
        if not block:
            return received
        write(block)
        received += len(block)
        advance(len(block))


def _refuse(url: str, error: Exception, last: bool) -> None:
    """Raise what another attempt would not mend; return for a broken connection."""
    if isinstance(error, urllib.error.HTTPError) and error.code == http.client.NOT_FOUND:
        raise NotThere(f"{url} is not there (HTTP 404)") from error
    if isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code != http.client.TOO_MANY_REQUESTS:
        raise ClirError(f"cannot download {url}: HTTP {error.code} {error.reason}") from error
    reason = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
    if "unknown url type" in str(reason):
        raise ClirError(f"{url} is refused: only HTTPS is used") from error
    if last:
        raise ClirError(f"cannot download {url}: {reason}; what has arrived is kept, run it again to go on") from error

"""Downloads against a local server that cuts connections, moves files and serves the wrong bytes."""

import hashlib
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clir.corpora.download import NotThere, download, secure_opener
from clir.support.errors import ClirError

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at every address; `cuts` connections break half way, `ranges` are honoured or not."""

    cuts = 0
    ranges = True
    status = 200
    asked: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        rest = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if self.server.cuts:
            self.server.cuts -= 1
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            self.connection.close()
            return
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        """Tests stay silent."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as serving:
        serving.asked = []
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def get(server: Server, path: Path, sha256: str = SHA256) -> list[int]:
    sizes: list[int] = []
    url = f"http://127.0.0.1:{server.server_port}/some/file"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    download(url, path, sha256, opener=opener, advance=sizes.append, pause_seconds=0)
    return sizes


def test_a_file_arrives_whole(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    assert sum(get(server, path)) == len(CONTENT)
    assert path.read_bytes() == CONTENT
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_a_cut_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    server.cuts = 2
    sizes = get(server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=128000-", "bytes=192000-"]
    assert sum(sizes) == len(CONTENT), "no byte was sent twice"


def test_a_later_process_resumes(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".file.partial").write_bytes(CONTENT[:1000])
    get(server, tmp_path / "file")
    assert server.asked == ["bytes=1000-"]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.cuts, server.ranges = 1, False
    get(server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("stale", [b"of another version", CONTENT, CONTENT + b"more"])
def test_a_stale_rest_is_given_up(server: Server, tmp_path: Path, stale: bytes) -> None:
    (tmp_path / ".file.partial").write_bytes(stale)
    get(server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused(server: Server, tmp_path: Path) -> None:
    earlier = tmp_path / "file"
    earlier.write_bytes(b"earlier")
    with pytest.raises(ClirError, match="is not the file that was expected: its SHA-256 is not 0000"):
        get(server, earlier, "0" * 64)
    assert earlier.read_bytes() == b"earlier"
    assert [one.name for one in tmp_path.iterdir()] == ["file"], "nothing is left of the wrong file"


def test_a_connection_that_always_breaks(server: Server, tmp_path: Path) -> None:
    server.cuts = 99
    with pytest.raises(ClirError, match=r"cannot download .*; what has arrived is kept"):
        get(server, tmp_path / "file")
    assert len(server.asked) == 5
    assert not (tmp_path / "file").exists()
    assert (tmp_path / ".file.partial").stat().st_size > 200_000


@pytest.mark.parametrize(("status", "attempts"), [(404, 1), (403, 1), (503, 5)])
def test_the_servers_refusals(server: Server, tmp_path: Path, status: int, attempts: int) -> None:
    server.status = status
    with pytest.raises(NotThere if status == 404 else ClirError, match=str(status)):
        get(server, tmp_path / "file")
    assert len(server.asked) == attempts
    assert not (tmp_path / "file").exists()


def test_only_https_is_used(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ClirError, match="only HTTPS is used"):
        download(f"http://127.0.0.1:{server.server_port}/", tmp_path / "file", SHA256, pause_seconds=0)
    assert server.asked == []
    assert "http" not in secure_opener().handle_open, "a redirect to a plain address cannot be followed"

"""Fetching a whole source: from a server laid out as upstream, from local copies, with the committed checksums."""

import functools
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clir.corpora import sources
from clir.corpora.sources import Source, SourceFile, copy, data_file, data_root, fetch, source
from clir.support.errors import ClirError, UsageError
from clir.support.files import sha256_of_file

FILES = {"one.txt": b"first\n", "deep/two.txt": b"second\n", "LICENSE": b"free\n"}


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder laid out as `repository/revision/data/...`, and a source named `toy` that describes it."""
    folder = tmp_path / "upstream"
    files = []
    for name, content in FILES.items():
        path = folder / "org/toy/abc123/data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        files.append(SourceFile(name, f"data/{name}", len(content), sha256_of_file(path)))
    toy = Source("toy", "a toy", "none", "org/toy", ("gone", "abc123"), tuple(files))
    monkeypatch.setattr(sources, "source", lambda name: toy)
    return folder


@pytest.fixture
def base(upstream: Path) -> Iterator[str]:
    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Tests stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(upstream))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def plain() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def test_a_source_is_fetched_once(base: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert fetch("toy", root, base=base, opener=plain()) == 3
    assert {name: (root / "toy" / name).read_bytes() for name in FILES} == FILES
    assert fetch("toy", root, base=base, opener=plain()) == 0
    (root / "toy/one.txt").write_bytes(b"f1rst\n")
    assert fetch("toy", root, base=base, opener=plain()) == 1, "same size, other bytes"
    assert (root / "toy/one.txt").read_bytes() == FILES["one.txt"]


def test_a_missing_licence_is_said_a_missing_file_is_an_error(
    base: str, upstream: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (upstream / "org/toy/abc123/data/LICENSE").unlink()
    fetch("toy", tmp_path / "root", base=base, opener=plain())
    assert "LICENSE of toy is no longer there upstream" in capsys.readouterr().err
    (upstream / "org/toy/abc123/data/one.txt").unlink()
    with pytest.raises(ClirError, match=r"one\.txt is not there \(HTTP 404\); it may have moved"):
        fetch("toy", tmp_path / "other", base=base, opener=plain())


@pytest.mark.parametrize("place", ["", "toy"])
@pytest.mark.parametrize("layout", ["", "data"])
def test_a_copy_from_the_folder_or_its_parent_in_both_layouts(
    upstream: Path, tmp_path: Path, place: str, layout: str
) -> None:
    origin = tmp_path / "copies"
    shutil.copytree(upstream / "org/toy/abc123/data", origin / place / layout)
    assert copy("toy", tmp_path / "root", origin) == 3
    assert (tmp_path / "root/toy/deep/two.txt").read_bytes() == b"second\n"


def test_bad_copies_change_nothing(upstream: Path, tmp_path: Path) -> None:
    origin, root = upstream / "org/toy/abc123/data", tmp_path / "root"
    with pytest.raises(UsageError, match="local copy not found"):
        copy("toy", root, tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"is no copy of toy: 2 files are not there, the first is one\.txt"):
        copy("toy", root, tmp_path)
    (origin / "deep/two.txt").write_bytes(b"sec0nd\n")
    with pytest.raises(ClirError, match=r"two\.txt is not the file that was expected"):
        copy("toy", root, origin)
    assert not root.exists()


def test_the_data_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CLIR_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_root() == tmp_path / "clir/data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_root() == Path.home() / ".cache/clir/data"
    monkeypatch.setenv("CLIR_DATA", str(tmp_path))
    with pytest.raises(UsageError, match=r"get it with: python -m clir\.fetch ntrex \[--from DIR\]"):
        data_file("ntrex", "DOCUMENT_IDS.tsv")


@pytest.mark.parametrize(("name", "files"), [("afriqa", 46), ("ntrex", 21), ("tatoeba", 225), ("lareqa", 11)])
def test_the_committed_checksums(name: str, files: int, shared_data: Path) -> None:
    what = source(name)
    assert len(what.files) == files
    for file in what.files:
        assert sha256_of_file(shared_data / name / file.path) == file.sha256


def test_an_unknown_source() -> None:
    with pytest.raises(UsageError, match="unknown data set 'afrika'; did you mean 'afriqa'"):
        source("afrika")

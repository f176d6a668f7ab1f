"""Dense indexes: FAISS's own bytes, over kills, and what is refused with nothing touched."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from clir.corpora.collection import Document
from clir.encoding.encoder import load_encoder
from clir.indexing.dense import build_dense_index, open_dense_index
from clir.indexing.documents import documents_fingerprint
from clir.indexing.encoded import check_encoder, refuse_foreign, work_folder
from clir.indexing.flat import FLAT_HEADER
from clir.support.errors import ClirError, UsageError

LETTERS = "abcdefghijklmnop"
DOCUMENTS = [
    Document(
        f"{number:03}", f"{'a clear' if number % 2 else 'the old'} well, number {'i' * number}", "Note" * (number % 3)
    )
    for number in range(10)
]


class LetterEncoder:
    """Counts letters: an encoder whose vectors anyone can check; remembers what it was asked to encode."""

    name = "letters"

    def __init__(self, width: int = len(LETTERS), version: str = "one") -> None:
        self.dimension, self.version = width, version
        self.seen: list[str] = []

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        counts = [[text.count(letter) for letter in LETTERS[: self.dimension]] for text in texts]
        return np.array(counts, dtype=np.float32).reshape(len(texts), self.dimension)

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        self.seen.extend(texts)
        return self.encode_queries(texts)

    def fingerprint(self, side: str) -> str:
        return f"letters {self.version} {side}"


class Interrupted(LetterEncoder):
    """Stops, as a kill would, when it has encoded `calls` windows."""

    def __init__(self, calls: int, **options: Any) -> None:
        super().__init__(**options)
        self.calls = calls

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        self.calls -= 1
        if self.calls < 0:
            raise KeyboardInterrupt
        return super().encode_documents(texts)


def read(documents: Iterable[Document] = DOCUMENTS) -> Callable[[], Iterable[Document]]:
    return lambda: iter(documents)


def contents(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "index").read_bytes(), (folder / "docid").read_bytes()


def begin(output: Path, windows: int, documents: Sequence[Document] = DOCUMENTS, **options: Any) -> Path:
    """Leave an unfinished run of `windows` windows of 3 documents behind; its work folder."""
    with pytest.raises(KeyboardInterrupt):
        build_dense_index(read(documents), Interrupted(windows), output, window=3, **options)
    assert not output.exists()
    return work_folder(output)


def test_the_file_is_what_faiss_itself_would_write(tmp_path: Path) -> None:
    encoder = LetterEncoder()
    index = build_dense_index(read(), encoder, tmp_path / "index", window=4)
    vectors = encoder.encode_queries([doc.contents for doc in DOCUMENTS])
    own = faiss.IndexFlatIP(encoder.dimension)
    own.add(vectors)
    faiss.write_index(own, str(tmp_path / "own"))
    assert (tmp_path / "index" / "index").read_bytes() == (tmp_path / "own").read_bytes()
    stored = faiss.read_index(str(index.path / "index"))
    assert (type(stored), stored.metric_type) == (faiss.IndexFlatIP, faiss.METRIC_INNER_PRODUCT)
    np.testing.assert_array_equal(stored.reconstruct_n(0, 10), vectors)


def test_line_i_of_docid_names_vector_i_and_the_manifest_says_of_what(tmp_path: Path) -> None:
    index = build_dense_index(read(), LetterEncoder(), tmp_path / "index", window=4, about={"data": {"source": "x"}})
    assert (tmp_path / "index" / "docid").read_text() == "".join(f"{number:03}\n" for number in range(10))
    assert sorted(path.name for path in index.path.iterdir()) == ["docid", "index", "meta.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index"]
    made = json.loads((index.path / "meta.json").read_text())
    assert (made["kind"], made["documents"], made["dimension"], made["window"]) == ("dense", 10, 16, 4)
    assert (made["encoder"], made["encoder fingerprint"]) == ("letters", "letters one document")
    assert made["data"] == {"source": "x"}
    assert made["documents sha256"] == documents_fingerprint(DOCUMENTS) == index.documents_fingerprint
    assert index == open_dense_index(index.path)


def test_neither_window_nor_length_changes_which_vector_belongs_to_which_document(tmp_path: Path) -> None:
    wide = build_dense_index(read(), LetterEncoder(), tmp_path / "wide", window=100)
    narrow = build_dense_index(read(), LetterEncoder(), tmp_path / "narrow", window=1)
    assert contents(wide.path) == contents(narrow.path)


def test_minilm_vectors_lie_in_the_index_as_the_model_gives_them(minilm: Path, tmp_path: Path) -> None:
    encoder = load_encoder(str(minilm))
    index = build_dense_index(read(), encoder, tmp_path / "index", window=4)
    stored = faiss.read_index(str(index.path / "index")).reconstruct_n(0, 10)
    np.testing.assert_allclose(stored, encoder.encode_documents([doc.contents for doc in DOCUMENTS]), atol=1e-6)
    check_encoder(index, encoder)


@pytest.mark.parametrize("windows", [0, 1, 3])
def test_an_unfinished_run_goes_on_after_its_last_whole_window(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], windows: int
) -> None:
    build_dense_index(read(), LetterEncoder(), tmp_path / "whole", window=3)
    begin(tmp_path / "index", windows)
    encoder = LetterEncoder()
    build_dense_index(read(), encoder, tmp_path / "index", window=3)
    assert contents(tmp_path / "index") == contents(tmp_path / "whole")
    assert sorted(encoder.seen) == sorted(doc.contents for doc in DOCUMENTS[3 * windows :])
    assert ("going on after" in capsys.readouterr().err) == (windows > 0)


def test_what_a_kill_wrote_beyond_its_progress_is_cut_back(tmp_path: Path) -> None:
    build_dense_index(read(), LetterEncoder(), tmp_path / "whole", window=3)
    work = begin(tmp_path / "index", 2)
    with open(work / "index", "ab") as vectors, open(work / "docid", "ab") as docids:
        vectors.write(b"\x01" * 37)
        docids.write(b"006\n00")
    build_dense_index(read(), LetterEncoder(), tmp_path / "index", window=3)
    assert contents(tmp_path / "index") == contents(tmp_path / "whole")


def test_two_processes_do_not_encode_into_one_index(tmp_path: Path) -> None:
    begin(tmp_path / "index", 2)
    with at_work(tmp_path / "index") as number:
        message = rf"another process is encoding into .*index \(process {number}\): wait for it"
        with pytest.raises(ClirError, match=message):
            build_dense_index(read(), LetterEncoder(), tmp_path / "index", window=3)
    encoder = LetterEncoder()
    build_dense_index(read(), encoder, tmp_path / "index", window=3)
    assert len(encoder.seen) == 4, "what was there is still there"


@contextlib.contextmanager
def at_work(output: Path) -> Iterator[int]:
    """Another process that has the lock of `output`, and its number."""
    code = (
        "import sys, time; from clir.support.locks import alone\n"
        "with alone(sys.argv[1], 'encoding into'): print('here', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(output)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"here\n"
        yield other.pid
        other.kill()


@pytest.mark.parametrize("name", ["index", "docid", "language"])
def test_a_work_folder_that_lost_bytes_is_begun_anew(tmp_path: Path, name: str) -> None:
    build_dense_index(read(), LetterEncoder(), tmp_path / "whole", window=3)
    work = begin(tmp_path / "index", 2)
    os.truncate(work / name, (work / name).stat().st_size - 3)
    encoder = LetterEncoder()
    build_dense_index(read(), encoder, tmp_path / "index", window=3)
    assert contents(tmp_path / "index") == contents(tmp_path / "whole")
    assert len(encoder.seen) == 10


def test_a_broken_progress_file_is_begun_anew(tmp_path: Path) -> None:
    work = begin(tmp_path / "index", 2)
    (work / "progress.json").write_text("{")
    encoder = LetterEncoder()
    build_dense_index(read(), encoder, tmp_path / "index", window=3)
    assert len(encoder.seen) == 10


def test_a_changed_document_is_noticed_and_all_are_encoded_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path / "index", 2)
    changed = [doc._replace(text="moved") if doc.docid == "001" else doc for doc in DOCUMENTS]
    build_dense_index(read(changed), LetterEncoder(), tmp_path / "whole", window=3)
    capsys.readouterr()
    encoder = LetterEncoder()
    build_dense_index(read(changed), encoder, tmp_path / "index", window=3)
    assert "the documents have changed since the unfinished run" in capsys.readouterr().err
    assert len(encoder.seen) == 10
    assert contents(tmp_path / "index") == contents(tmp_path / "whole")


def test_documents_that_are_gone_since_the_unfinished_run_are_not_in_the_index(tmp_path: Path) -> None:
    begin(tmp_path / "index", 3)
    index = build_dense_index(read(DOCUMENTS[:4]), LetterEncoder(), tmp_path / "index", window=3)
    assert index.docids == ["000", "001", "002", "003"]


@pytest.mark.parametrize(
    ("encoder", "options"),
    [
        (LetterEncoder(version="two"), {}),
        (LetterEncoder(), {"window": 5}),
        (LetterEncoder(), {"about": {"settings": {"precision": "bf16"}}}),
    ],
)
def test_windows_of_another_encoder_or_other_settings_are_not_mixed_in(
    tmp_path: Path, encoder: LetterEncoder, options: dict[str, Any]
) -> None:
    begin(tmp_path / "index", 2)
    encoder.seen.clear()
    build_dense_index(read(), encoder, tmp_path / "index", **{"window": 3, **options})
    assert len(encoder.seen) == 10


class NotFinite(LetterEncoder):
    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        vectors = super().encode_documents(texts)
        vectors[["iiiii" in text for text in texts], 2] = np.nan
        return vectors


class TooNarrow(LetterEncoder):
    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        return np.ones((len(texts), 1), dtype=np.float32)


@pytest.mark.parametrize(
    ("documents", "encoder", "message"),
    [
        ([], LetterEncoder(), "no documents to encode"),
        ([*DOCUMENTS, DOCUMENTS[1]], LetterEncoder(), "docid '001' comes twice"),
        ([*DOCUMENTS, Document("a b", "c")], LetterEncoder(), "docid 'a b' is empty or has white space in it"),
        ([*DOCUMENTS, Document("", "c")], LetterEncoder(), "docid '' is empty or has white space in it"),
        (DOCUMENTS, NotFinite(), "NaN or infinity for document '005'"),
        (DOCUMENTS, TooNarrow(), r"the encoder gave vectors of shape \(4, 1\), not \(4, 16\)"),
    ],
)
def test_what_is_refused_leaves_the_earlier_index_as_it_was(
    tmp_path: Path, documents: list[Document], encoder: LetterEncoder, message: str
) -> None:
    build_dense_index(read(DOCUMENTS[:2]), LetterEncoder(), tmp_path / "index")
    before = contents(tmp_path / "index")
    with pytest.raises(ClirError, match=message):
        build_dense_index(read(documents), encoder, tmp_path / "index", window=4)
    assert contents(tmp_path / "index") == before


def test_no_documents_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ClirError, match="no documents to encode"):
        build_dense_index(read([]), LetterEncoder(), tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_an_index_of_another_model_is_refused(tmp_path: Path) -> None:
    index = build_dense_index(read(), LetterEncoder(), tmp_path / "index")
    check_encoder(index, LetterEncoder())
    with pytest.raises(ClirError, match=r"was made by another model \(document fingerprint letters one document\)"):
        check_encoder(index, LetterEncoder(version="two"))


def test_an_index_without_manifest_is_checked_by_dimension(tmp_path: Path) -> None:
    index = build_dense_index(read(), LetterEncoder(), tmp_path / "index")
    (index.path / "meta.json").unlink()
    foreign = open_dense_index(index.path)
    assert (foreign.encoder, foreign.documents_fingerprint, foreign.docids) == (None, None, index.docids)
    check_encoder(foreign, LetterEncoder(version="two"))
    with pytest.raises(ClirError, match="has 16 dimensions, letters gives 9"):
        check_encoder(foreign, LetterEncoder(width=9))


def test_what_is_no_index_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no index folder at .*nowhere"):
        open_dense_index(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"is no dense index \(it lacks the file index or docid\)"):
        open_dense_index(tmp_path)
    (tmp_path / "index").write_bytes(b"something else")
    (tmp_path / "docid").write_text("a\n")
    with pytest.raises(ClirError, match="is not a FAISS index"):
        open_dense_index(tmp_path)


def test_an_index_whose_parts_disagree_is_broken(tmp_path: Path) -> None:
    index = build_dense_index(read(), LetterEncoder(), tmp_path / "index")
    with open(index.path / "docid", "a") as docids:
        docids.write("one more\n")
    with pytest.raises(ClirError, match="is broken: 10 vectors but 11 docids"):
        open_dense_index(index.path)


def test_an_index_cut_short_is_no_index(tmp_path: Path) -> None:
    index = build_dense_index(read(), LetterEncoder(), tmp_path / "index")
    os.truncate(index.path / "index", FLAT_HEADER.size + 4 * 16 * 9)
    with pytest.raises(ClirError, match="is broken: 621 bytes, not 685"):
        open_dense_index(index.path)


def test_an_output_that_is_no_index_of_ours_is_not_overwritten(tmp_path: Path) -> None:
    refuse_foreign(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    refuse_foreign(tmp_path / "empty")
    refuse_foreign(build_dense_index(read(), LetterEncoder(), tmp_path / "index").path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "goat.jpg").write_bytes(b"")
    for path in (tmp_path / "photos", tmp_path / "photos" / "goat.jpg"):
        with pytest.raises(UsageError, match="exists and is no dense index of clir's"):
            refuse_foreign(path)


SLOW_MODULE = """
import sys, time
sys.path.insert(0, {tests!r})
from test_dense_index import LetterEncoder

class SlowEncoder(LetterEncoder):
    def encode_documents(self, texts):
        with open({log!r}, "a") as log:
            log.write("".join(text + "\\n" for text in texts))
        time.sleep(0.4)
        return super().encode_documents(texts)
"""


def test_a_killed_run_of_the_door_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    log = tmp_path / "encoded.txt"
    (tmp_path / "slow_letters.py").write_text(SLOW_MODULE.format(tests=str(Path(__file__).parent), log=str(log)))
    with open(tmp_path / "docs.jsonl", "w") as docs:
        docs.writelines(json.dumps({"id": doc.docid, "contents": doc.contents}) + "\n" for doc in DOCUMENTS)
    command = [
        sys.executable, "-m", "clir.encode", "--corpus", "docs.jsonl", "--encoder", "slow_letters:SlowEncoder",
        "--window", "2", "--output", "index",
    ]  # fmt: skip
    settings: dict[str, Any] = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(tmp_path)}}

    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **settings)
    progress = tmp_path / ".index.encoding" / "progress.json"
    deadline = time.monotonic() + 120
    while not (progress.exists() and json.loads(progress.read_text())["documents"] >= 4):
        assert killed.poll() is None and time.monotonic() < deadline, killed.stderr and killed.stderr.read()
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    stored = json.loads(progress.read_text())["documents"]
    assert 4 <= stored < 10 and not (tmp_path / "index").exists()

    log.unlink()
    again = subprocess.run(command, capture_output=True, text=True, timeout=120, **settings)
    assert (again.returncode, again.stdout) == (0, "index\n")
    assert f"going on after {stored} documents that an earlier run encoded" in again.stderr
    assert sorted(log.read_text().splitlines()) == sorted(doc.contents for doc in DOCUMENTS[stored:])
    whole = build_dense_index(read(), LetterEncoder(), tmp_path / "whole", window=2)
    assert contents(tmp_path / "index") == contents(whole.path)
    assert not progress.parent.exists()

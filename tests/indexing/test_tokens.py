"""Token indexes: the encoder's vectors in the file, also over kills."""

import dataclasses
import json
import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clir.corpora.collection import Document
from clir.encoding.encoder import load_encoder, token_encoder
from clir.encoding.token_vectors import TokenVectors
from clir.indexing import encoded
from clir.indexing.documents import documents_fingerprint
from clir.indexing.encoded import Growth, check_encoder
from clir.indexing.merging import merge
from clir.indexing.shards import Shard
from clir.indexing.storage import Storage
from clir.indexing.tokens import build_token_index, build_token_part, open_token_index
from clir.support.errors import ClirError, UsageError
from clir.support.workers import Room

# Every third has no words, hence no tokens.
DOCUMENTS = [Document(f"{number:03}", " ".join(["well", "the old pump"][: number % 3] * number)) for number in range(9)]
DOCUMENTS.append(Document("NA", "goats", "About"))


class WordEncoder:
    """A vector for each word, made of its letters; remembers what it was asked to encode."""

    name = "words"
    dimension = 4

    def __init__(self, limit: int = 50, version: str = "one") -> None:
        self.limit, self.version = limit, version
        self.seen: list[str] = []

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        raise NotImplementedError

    encode_documents = encode_queries

    def encode_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        words = [text.split()[: self.limit] for text in texts]
        return TokenVectors.of([np.array([of_word(word) for word in some]).reshape(-1, 4) for some in words], 4)

    def encode_document_tokens(self, texts: Sequence[str]) -> TokenVectors:
        self.seen.extend(texts)
        return self.encode_query_tokens(texts)

    def token_limit(self, side: str) -> int:
        return self.limit

    def fingerprint(self, side: str) -> str:
        return f"words {self.version} {side}"


def of_word(word: str) -> np.ndarray:
    vector = np.array([word.count("e") + 0.1, word.count("l"), -word.count("p"), len(word)], dtype=np.float32)
    return vector / np.linalg.norm(vector)


class Interrupted(WordEncoder):
    """Stops, as a kill would, when it has encoded `calls` windows."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls

    def encode_document_tokens(self, texts: Sequence[str]) -> TokenVectors:
        self.calls -= 1
        if self.calls < 0:
            raise KeyboardInterrupt
        return super().encode_document_tokens(texts)


def read(documents: Iterable[Document] = DOCUMENTS) -> Callable[[], Iterable[Document]]:
    return lambda: iter(documents)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".json")


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


def begin(output: Path, windows: int, **options: Any) -> Path:
    """Leave an unfinished run of `windows` windows of 3 documents behind; its work folder."""
    with pytest.raises(KeyboardInterrupt):
        build_token_index(read(), Interrupted(windows), output, **{"window": 3, **options})
    assert not output.exists()
    return output.with_name(f".{output.name}.encoding")


def test_values_are_the_encoders_vectors_in_a_row_and_offsets_say_whose(tmp_path: Path) -> None:
    index = build_token_index(read(), WordEncoder(), tmp_path / "index", window=4)
    assert sorted(path.name for path in index.path.iterdir()) == ["docid", "meta.json", "offsets", "values"]
    expected = [np.array([of_word(word) for word in doc.contents.split()]).reshape(-1, 4) for doc in DOCUMENTS]
    values = np.concatenate(expected)
    assert (index.path / "values").read_bytes() == values.astype("<f2").tobytes()
    offsets = np.cumsum([0, *map(len, expected)])
    assert (index.path / "offsets").read_bytes() == offsets.astype("<i8").tobytes()
    assert (index.path / "docid").read_text() == "".join(f"{doc.docid}\n" for doc in DOCUMENTS)
    assert (index.documents, index.tokens, index.dimension, index.limit) == (10, len(values), 4, 50)
    assert any(len(rows) == 0 for rows in expected), "a document without tokens is among them"


def test_the_manifest_says_what_the_index_holds(tmp_path: Path) -> None:
    index = build_token_index(read(), WordEncoder(), tmp_path / "index", window=4, about={"data": {"source": "x"}})
    made = json.loads((index.path / "meta.json").read_text())
    assert (made["kind"], made["documents"], made["dimension"], made["window"]) == ("token", 10, 4, 4)
    assert (made["storage"], made["pooling"]) == ("float16", 1)
    assert (made["token limit"], made["tokens"]) == (50, index.tokens)
    assert (made["encoder"], made["encoder fingerprint"]) == ("words", "words one document")
    assert made["data"] == {"source": "x"}
    assert made["documents sha256"] == documents_fingerprint(DOCUMENTS) == index.documents_fingerprint
    assert index == open_token_index(index.path)


def test_float32_keeps_every_bit(tmp_path: Path) -> None:
    encoder = WordEncoder()
    index = build_token_index(read(), encoder, tmp_path / "index", storage="float32")
    expected = encoder.encode_query_tokens([doc.contents for doc in DOCUMENTS])
    found = index.read(0, 10)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.offsets, expected.offsets)


@pytest.mark.parametrize("stored", ["float16", "float32"])
def test_folders_of_earlier_versions_open(tmp_path: Path, stored: Storage) -> None:
    index = build_token_index(read(), WordEncoder(), tmp_path / "index", storage=stored)
    made = json.loads((index.path / "meta.json").read_text())
    del made["storage"], made["pooling"]
    (index.path / "meta.json").write_text(json.dumps(made | {"stored": stored}))
    assert open_token_index(index.path) == index


def expected_values() -> np.ndarray:
    return WordEncoder().encode_query_tokens([doc.contents for doc in DOCUMENTS]).values


def test_bfloat16_keeps_the_upper_half_of_every_float32(tmp_path: Path) -> None:
    index = build_token_index(read(), WordEncoder(), tmp_path / "index", storage="bfloat16", window=3)
    bits = np.fromfile(index.path / "values", dtype="<u2")
    found = (bits.astype(np.uint32) << 16).view(np.float32).reshape(-1, 4)
    # To the nearest of 8 binary digits.
    np.testing.assert_allclose(found, expected_values(), rtol=2**-8, atol=0)
    np.testing.assert_array_equal(index.read(0, 10).values, found)


def test_int8_has_the_scales_of_every_window(tmp_path: Path) -> None:
    index = build_token_index(read(), WordEncoder(), tmp_path / "index", storage="int8", window=4)
    expected, offsets = expected_values(), index.offsets
    assert (index.path / "values").stat().st_size == index.tokens * 4
    scales = np.fromfile(index.path / "scales", dtype="<f4").reshape(3, 4)
    for number, (start, stop) in enumerate([(0, 4), (4, 8), (8, 10)]):
        window = expected[offsets[start] : offsets[stop]]
        greatest = np.abs(window).max(axis=0)
        # -p is 0 throughout a window without the letter.
        np.testing.assert_allclose(scales[number], np.where(greatest > 0, greatest / 127, 1), rtol=1e-6)
        found = index.read(start, stop).values
        assert (np.abs(found - window) <= scales[number] / 2 * 1.001).all()
        np.testing.assert_allclose(np.abs(found).max(axis=0), greatest, rtol=1e-6)


@pytest.mark.parametrize("storage", ["float32", "float16", "bfloat16", "int8"])
def test_documents_are_taken_as_they_are_read(tmp_path: Path, storage: Storage) -> None:
    index = build_token_index(read(), WordEncoder(), tmp_path / "index", storage=storage, window=2)
    chosen, room = np.array([9, 2, 0, 2, 7, 8, 1]), Room()
    index.expect(np.unique(chosen))
    for taken in (index.take(chosen), index.take(chosen, room), index.take(chosen, room)):
        assert taken.values.dtype == np.float32 and len(taken) == 7
        for at, number in enumerate(chosen.tolist()):
            np.testing.assert_array_equal(taken[at], index.read(number, number + 1).values)
    assert len(index.take(np.array([], dtype=np.int64))) == 0


def test_what_is_not_in_memory_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [Document(f"{number:04}", "pump " * 40) for number in range(1000)]
    index = build_token_index(read(many), WordEncoder(), tmp_path / "index", storage="float32")
    asked: list[tuple[int, int]] = []

    class Told(mmap.mmap):
        def madvise(self, option: int, start: int = 0, length: int = 0, /) -> None:
            asked.append((start, length))
            super().madvise(option, start, length)

    with open(index.path / "values", "rb") as file:
        told = Told(file.fileno(), 0, access=mmap.ACCESS_COPY)
        index.__dict__["_mapped"] = told
        index.expect(np.array([3, 700]))
        assert asked == []
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    index.expect(np.array([3, 700]))
    row = 40 * 4 * 4
    if not asked:
        pytest.skip("the system keeps the file in memory")
    assert asked == [(0, 4 * row), (700 * row // 4096 * 4096, row + 700 * row % 4096)]
    np.testing.assert_allclose(index.take(np.array([3, 700])).values, [of_word("pump")] * 80)


def test_pooling_keeps_a_vector_for_so_many_tokens(tmp_path: Path) -> None:
    index = build_token_index(read(), WordEncoder(), tmp_path / "index", pooling=3, storage="float32")
    words = [doc.contents.split() for doc in DOCUMENTS]
    assert np.diff(index.offsets).tolist() == [-(-len(some) // 3) for some in words]
    assert (index.pooling, open_token_index(index.path)) == (3, index)
    # 32 tokens, eight of each of four words: in 11 clusters nothing is together but the same word.
    distances = np.linalg.norm(index.read(8, 9).values[:, None] - expected_values()[None], axis=2)
    assert words[8] == ["well", "the", "old", "pump"] * 8 and (distances.min(axis=1) < 1e-6).all()
    np.testing.assert_allclose(np.linalg.norm(index.read(0, 10).values, axis=1), 1, rtol=1e-6)
    with pytest.raises(UsageError, match="pooling must be at least 1, not 0"):
        build_token_index(read(), WordEncoder(), tmp_path / "index", pooling=0)


@pytest.mark.parametrize("tokens", [1, 7, 20, 10_000])
def test_blocks_are_all_documents_in_order_within_bounds(tmp_path: Path, tokens: int) -> None:
    index = build_token_index(read(), WordEncoder(), tmp_path / "index")
    whole, at = index.read(0, 10), 0
    for first, block in index.blocks(tokens):
        assert first == at and len(block) >= 1 and block.values.dtype == np.float32
        assert len(block.values) <= tokens or len(block) == 1
        for number in range(len(block)):
            np.testing.assert_array_equal(block[number], whole[at + number])
        at += len(block)
    assert at == 10


def test_no_tokens_at_all_are_an_index_too(tmp_path: Path) -> None:
    index = build_token_index(read([Document("a", " "), Document("b", "")]), WordEncoder(), tmp_path / "index")
    assert (index.documents, index.tokens, [len(block) for _, block in index.blocks(10)]) == (2, 0, [2])


@pytest.mark.parametrize(("storage", "pooling"), [("float16", 1), ("int8", 1), ("int8", 2), ("bfloat16", 1)])
@pytest.mark.parametrize("windows", [0, 1, 3])
def test_an_unfinished_run_goes_on_after_its_last_whole_window(
    tmp_path: Path, windows: int, storage: Storage, pooling: int
) -> None:
    options: dict[str, Any] = {"window": 3, "storage": storage, "pooling": pooling}
    build_token_index(read(), WordEncoder(), tmp_path / "whole", **options)
    work = begin(tmp_path / "index", windows, **options)
    if windows:
        for name in files(work):
            with open(work / name, "ab") as file:
                file.write(b"what a kill wrote beyond its progress")
    encoder = WordEncoder()
    build_token_index(read(), encoder, tmp_path / "index", **options)
    assert contents(tmp_path / "index") == contents(tmp_path / "whole")
    assert sorted(encoder.seen) == sorted(doc.contents for doc in DOCUMENTS[3 * windows :])


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_documents_appended_to_a_part_window_begin_anew(
    tmp_path: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = DOCUMENTS[:5]
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Growth, "finish", interrupt)
        build_token_index(read(fewer), WordEncoder(), tmp_path / "index", window=3, storage=storage)
    build_token_index(read(), WordEncoder(), tmp_path / "index", window=3, storage=storage)
    build_token_index(read(), WordEncoder(), tmp_path / "whole", window=3, storage=storage)
    assert contents(tmp_path / "index") == contents(tmp_path / "whole")


def test_what_is_encoded_outlives_a_failure_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(encoded, "write_manifest", interrupt)
        build_token_index(read(), WordEncoder(), tmp_path / "index", window=3)
    encoder = WordEncoder()
    build_token_index(read(), encoder, tmp_path / "index", window=3)
    assert encoder.seen == []
    assert not (tmp_path / "index" / "progress.json").exists()


def interrupt(*told: object, **more: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_shards_merge_into_the_bytes_of_one_run(tmp_path: Path, storage: Storage) -> None:
    options: dict[str, Any] = {"window": 2, "storage": storage, "pooling": 2}
    whole = build_token_index(read(), WordEncoder(), tmp_path / "whole", **options)
    parts = [
        build_token_part(read(), WordEncoder(), tmp_path / f"part{number}", Shard(number, 3), **options)
        for number in (1, 2, 3)
    ]
    with pytest.raises(ClirError, match="part1 is shard 1 of 3 of an index"):
        open_token_index(parts[0])
    merged = merge(parts, tmp_path / "merged")
    assert contents(merged.path) == contents(whole.path)
    assert dataclasses.replace(whole, path=merged.path) == merged


def test_what_is_finished_is_not_made_again(tmp_path: Path) -> None:
    for encoder, options, seen in (
        (WordEncoder(), {}, 10),
        (WordEncoder(), {}, 0),
        (WordEncoder(), {"storage": "int8"}, 10),
        (WordEncoder(), {"storage": "int8", "pooling": 2}, 10),
        (WordEncoder(), {"storage": "int8", "pooling": 2}, 0),
    ):
        build_token_part(read(), encoder, tmp_path / "index", **options)  # type: ignore[arg-type]
        assert len(encoder.seen) == seen


@pytest.mark.parametrize("name", ["values", "offsets", "docid", "scales"])
def test_a_work_folder_that_lost_bytes_is_begun_anew(tmp_path: Path, name: str) -> None:
    build_token_index(read(), WordEncoder(), tmp_path / "whole", window=3, storage="int8")
    work = begin(tmp_path / "index", 2, storage="int8")
    os.truncate(work / name, (work / name).stat().st_size - 1)
    encoder = WordEncoder()
    build_token_index(read(), encoder, tmp_path / "index", window=3, storage="int8")
    assert contents(tmp_path / "index") == contents(tmp_path / "whole")
    assert len(encoder.seen) == 10


@pytest.mark.parametrize(
    ("encoder", "options"),
    [
        (WordEncoder(version="two"), {}),
        (WordEncoder(limit=2), {}),
        (WordEncoder(), {"storage": "float32"}),
        (WordEncoder(), {"storage": "int8"}),
        (WordEncoder(), {"pooling": 2}),
        (WordEncoder(), {"window": 5}),
        (WordEncoder(), {"about": {"settings": {"precision": "bf16"}}}),
    ],
)
def test_windows_of_another_encoder_or_other_settings_are_not_mixed_in(
    tmp_path: Path, encoder: WordEncoder, options: dict[str, Any]
) -> None:
    begin(tmp_path / "index", 2)
    encoder.seen.clear()
    build_token_index(read(), encoder, tmp_path / "index", **{"window": 3, **options})
    assert len(encoder.seen) == 10


def test_minilm_tokens_lie_in_the_index_as_the_model_gives_them(minilm: Path, tmp_path: Path) -> None:
    encoder = token_encoder(load_encoder(str(minilm), batch_size=2))
    index = build_token_index(read(), encoder, tmp_path / "index", window=4)
    expected = encoder.encode_document_tokens([doc.contents for doc in DOCUMENTS])
    found = index.read(0, 10)
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-3)
    check_encoder(index, encoder)


SLOW_MODULE = """
import sys, time
sys.path.insert(0, {tests!r})
from test_tokens import WordEncoder

class SlowEncoder(WordEncoder):
    def encode_document_tokens(self, texts):
        time.sleep(0.4)
        return super().encode_document_tokens(texts)
"""


def test_a_killed_run_of_the_door_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "slow_words.py").write_text(SLOW_MODULE.format(tests=str(Path(__file__).parent)))
    with open(tmp_path / "docs.jsonl", "w") as docs:
        docs.writelines(json.dumps({"id": doc.docid, "contents": doc.contents}) + "\n" for doc in DOCUMENTS)
    command = [
        sys.executable, "-m", "clir.encode", "--tokens", "--corpus", "docs.jsonl", "--encoder",
        "slow_words:SlowEncoder", "--window", "2", "--output", "index",
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

    again = subprocess.run(command, capture_output=True, text=True, timeout=120, **settings)
    assert (again.returncode, again.stdout) == (0, "index\n"), again.stderr
    assert f"going on after {stored} documents that an earlier run encoded" in again.stderr
    documents = [doc._replace(text=doc.contents, title="") for doc in DOCUMENTS]
    whole = build_token_index(read(documents), WordEncoder(), tmp_path / "whole", window=2)
    assert contents(tmp_path / "index") == contents(whole.path)
    assert not progress.parent.exists()

"""Documents are read from disk by their docids, whatever they come from, and are the ones that were indexed."""

import gzip
import json
import os
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from clir.corpora.collection import Document
from clir.corpora.demo_collection import open_demo
from clir.corpora.documents import read_documents
from clir.corpora.registry import open_collection
from clir.indexing.documents import documents_fingerprint
from clir.retrieval import passages
from clir.retrieval.passages import Lines, Store, open_passages
from clir.support.errors import ClirError, UsageError

DOCUMENTS = [
    Document("001", "Maji safi, 水 and goats."),
    Document("1", "", "a title alone"),
    Document("NA", "text\nof two lines"),
    Document("null", 'a "quoted" \u2028 word', "title", "sw"),
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLIR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "passages"


def lines(documents: list[Document]) -> bytes:
    records = (
        {"id": doc.docid, "title": doc.title, "contents": doc.text, "language": doc.language} for doc in documents
    )
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n\n" for record in records)


def written(path: Path, documents: list[Document] = DOCUMENTS) -> Path:
    path.write_bytes((gzip.compress if path.name.endswith(".gz") else bytes)(lines(documents)))
    return path


@pytest.mark.parametrize("name", ["docs.jsonl", "docs.jsonl.gz"])
def test_documents_of_a_file_are_read_in_any_order(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name)
    opened = open_passages(path, documents_fingerprint(read_documents(path)))
    wanted = [DOCUMENTS[3], DOCUMENTS[0], DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[2]]
    assert opened.read([doc.docid for doc in wanted]) == wanted
    assert opened.read([]) == []
    opened.close()
    assert opened.read(["NA"]) == [DOCUMENTS[2]]
    opened.close()


def test_a_byte_order_mark_and_a_folder_of_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + lines(DOCUMENTS[:2]))
    written(tmp_path / "parts" / "b.jsonl", DOCUMENTS[2:])
    opened = open_passages(tmp_path / "parts")
    assert opened.read([doc.docid for doc in DOCUMENTS]) == DOCUMENTS
    opened.close()


def test_a_plain_file_is_not_copied_and_is_gone_through_once(tmp_path: Path, cache: Path) -> None:
    path = written(tmp_path / "docs.jsonl")
    for _ in range(2):
        open_passages(path).close()
    (folder,) = cache.iterdir()
    assert sorted(file.name for file in folder.iterdir()) == ["about.json", "hash.npy", "place.npy"]
    os.utime(path, ns=(1, 1))
    open_passages(path).close()
    assert len(list(cache.iterdir())) == 2


def test_many_lines_are_sorted_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passages, "LINES_AT_ONCE", 100)
    many = [Document(f"d{number}", f"text {number}") for number in range(1234)]
    opened = open_passages(written(tmp_path / "docs.jsonl", many))
    shuffled = random.Random(0).sample(many, len(many))
    assert opened.read([doc.docid for doc in shuffled]) == shuffled
    assert isinstance(opened, Lines) and len(opened) == len(many)
    opened.close()


def test_ids_of_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passages, "_hash", lambda docid: 2**64 - 1)
    opened = open_passages(written(tmp_path / "docs.jsonl"))
    assert opened.read(["null", "001"]) == [DOCUMENTS[3], DOCUMENTS[0]]
    with pytest.raises(ClirError, match=r"docs\.jsonl has no document 'gone'"):
        opened.read(["gone"])
    opened.close()


def test_reading_does_not_load_the_corpus(tmp_path: Path) -> None:
    many = [Document(f"d{number}", "word " * 200) for number in range(5000)]
    opened = open_passages(written(tmp_path / "docs.jsonl", many))
    tracemalloc.start()
    assert opened.read(["d4999"]) == [many[-1]]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000
    opened.close()


def test_documents_other_than_the_indexed_ones_are_refused(tmp_path: Path, cache: Path) -> None:
    path = written(tmp_path / "docs.jsonl")
    with pytest.raises(ClirError, match=r"the documents of .*docs.jsonl are not the ones that were indexed"):
        open_passages(path, "0" * 64)
    with pytest.raises(ClirError, match="the documents of demo/sw are not the ones that were indexed"):
        open_passages("demo/sw", "0" * 64)
    # The refused copy is not kept.
    assert len(list(cache.iterdir())) == 1


def test_a_collection_of_ours_is_read_by_id(cache: Path) -> None:
    demo = open_demo("sw")
    documents = list(demo.documents())
    digest = documents_fingerprint(documents)
    for source in ("demo/sw", demo):
        opened = open_passages(source, digest)
        assert opened.read([documents[-1].docid, documents[0].docid]) == [documents[-1], documents[0]]
        opened.close()
    assert len(list(cache.iterdir())) == 1


def test_a_set_of_ir_datasets_is_read_through_its_own_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import ir_datasets

    from clir.corpora.irds import register_with_ir_datasets

    monkeypatch.setattr(ir_datasets.util, "home_path", lambda: tmp_path / "irds")
    register_with_ir_datasets()
    from clir.corpora.irds import open_dataset

    dataset = open_dataset("demo/sw")
    opened = open_passages(dataset)
    assert isinstance(opened, Store)
    documents = list(open_collection("demo/sw").documents())
    assert opened.read([documents[7].docid, documents[2].docid]) == [documents[7], documents[2]]
    with pytest.raises(ClirError, match="demo/sw has no document 'gone'"):
        opened.read([documents[0].docid, "gone"])


def test_broken_and_missing_files_are_named(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown collection 'nowhere\.jsonl'"):
        open_passages("nowhere.jsonl")
    (tmp_path / "broken.jsonl").write_text('{"id": "1", "text": ""}\n{"id": ')
    with pytest.raises(ClirError, match=r"broken.jsonl:2: not JSON"):
        open_passages(tmp_path / "broken.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ClirError, match="there are no documents"):
        open_passages(tmp_path / "empty.jsonl")
    assert not [folder for folder in cache.iterdir() if not folder.name.startswith(".")] if cache.exists() else True


def test_the_index_of_lines_is_sorted_by_hash(tmp_path: Path, cache: Path) -> None:
    open_passages(written(tmp_path / "docs.jsonl")).close()
    hashes = np.load(next(cache.rglob("hash.npy")))
    assert (np.diff(hashes.astype(object)) >= 0).all() and len(hashes) == len(DOCUMENTS)


SAME = [Document("1", "a well", "T"), Document("2", "a goat")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docs.json", '[{"id": "1", "text": "a well", "title": "T"},\n{"id": "2", "text": "a goat"}]'),
        ("docs.jsonl", '{"id": "1", "text": "a well", "title": "T"}\n{\n"id": "2",\n"text": "a goat"\n}\n'),
        ("docs.csv", "id,title,text\n1,T,a well\n2,,a goat\n"),
        ("docs.tsv", "1\thttp://a.b\tT\ta well\n2\t\t\ta goat\n"),
        ("docs.sgml", "<DOC><DOCNO>1</DOCNO><TITLE>T</TITLE><TEXT>a well</TEXT></DOC>\n"
         "<DOC><DOCNO>2</DOCNO><TEXT>a goat</TEXT></DOC>\n"),
        ("docs.old.jsonl", '{"id": "1", "text": "a well", "title": "T"}\r{"id": "2", "text": "a goat"}\r'),
    ],
)  # fmt: skip
def test_documents_that_do_not_stand_in_a_line_each_are_copied(
    tmp_path: Path, cache: Path, name: str, text: str
) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    for _ in range(2):
        opened = open_passages(path, documents_fingerprint(read_documents(path)))
        assert opened.read(["2", "1"]) == SAME[::-1]
        opened.close()
    (folder,) = [folder for folder in cache.iterdir() if not folder.name.startswith(".")]
    assert (folder / "documents.jsonl").exists()


def test_a_repeated_key_is_refused_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "docs.jsonl"
    path.write_text('{"id": "1", "text": "a"}\n{"id": "2", "text": "b", "text": "c"}\n')
    with pytest.raises(ClirError, match=r"docs\.jsonl:2: the key 'text' stands twice"):
        open_passages(path)

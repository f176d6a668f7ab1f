"""Vectors that Pyserini wrote as JSON lines, as an index."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_dense_index import DOCUMENTS, LetterEncoder

from clir.indexing import embeddings
from clir.indexing.embeddings import import_embeddings
from clir.indexing.encoded import check_encoder
from clir.support.errors import ClirError


def write(path: Path, encoder: LetterEncoder, **changed: object) -> Path:
    """The documents as `pyserini.encode` leaves them without --to-faiss."""
    vectors = encoder.encode_queries([doc.contents for doc in DOCUMENTS])
    with open(path, "w") as lines:
        for doc, vector in zip(DOCUMENTS, vectors, strict=True):
            record = {"id": doc.docid, "contents": doc.contents, "vector": vector.tolist()}
            lines.write(json.dumps(record | (changed if doc.docid == "004" else {})) + "\n")
    return path


def test_the_vectors_lie_in_the_index_in_their_order(tmp_path: Path) -> None:
    write(tmp_path / "embeddings.jsonl", LetterEncoder())
    index = import_embeddings(tmp_path / "embeddings.jsonl", tmp_path / "index", window=3)
    assert index.flat is not None and index.docids == [doc.docid for doc in DOCUMENTS]
    expected = LetterEncoder().encode_queries([doc.contents for doc in DOCUMENTS])
    np.testing.assert_array_equal(index.flat.vectors, expected)
    # Whose vectors they are is not known: only their width is checked.
    assert index.encoder is None
    check_encoder(index, LetterEncoder(version="two"))


def test_a_folder_of_shards_and_the_encoder_that_made_them(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    write(tmp_path / "shards" / "embeddings.jsonl", LetterEncoder())
    index = import_embeddings(tmp_path / "shards", tmp_path / "index", LetterEncoder())
    check_encoder(index, LetterEncoder())
    with pytest.raises(ClirError, match="was made by another model"):
        check_encoder(index, LetterEncoder(version="two"))


def test_a_file_that_was_written_again_is_imported_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "embeddings.jsonl", LetterEncoder())
    append, calls = embeddings.append_vectors, []

    def interrupted(*told: Any) -> None:
        calls.append(told)
        if len(calls) > 2:
            raise KeyboardInterrupt
        append(*told)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(embeddings, "append_vectors", interrupted)
        import_embeddings(path, tmp_path / "index", window=2)
    path.unlink()
    index = import_embeddings(write(path, LetterEncoder(version="two")), tmp_path / "index", window=2)
    write(tmp_path / "again.jsonl", LetterEncoder(version="two"))
    whole = import_embeddings(tmp_path / "again.jsonl", tmp_path / "whole", window=2)
    assert index.flat is not None and whole.flat is not None
    np.testing.assert_array_equal(index.flat.vectors, whole.flat.vectors)


class Shifted(LetterEncoder):
    name = "shifted"

    def encode_documents(self, texts: list[str]) -> np.ndarray:
        return super().encode_documents(texts)[:, ::-1].copy()


class Longer(LetterEncoder):
    name = "longer"

    def encode_documents(self, texts: list[str]) -> np.ndarray:
        return 1.5 * super().encode_documents(texts)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (Shifted(), r"does not have the vectors of shifted: of the first 8 documents one has cosine 0\.\d+"),
        (Longer(), "does not have the vectors of longer: .* lengths differ by up to 33 %"),
        (LetterEncoder(width=9), "has vectors of 16 numbers, letters gives 9"),
    ],
)
def test_an_encoder_that_did_not_make_them(tmp_path: Path, encoder: LetterEncoder, message: str) -> None:
    path = write(tmp_path / "embeddings.jsonl", LetterEncoder())
    with pytest.raises(ClirError, match=message):
        import_embeddings(path, tmp_path / "index", encoder)
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"vector": [1.0, 2.0]}, "jsonl:5: a vector of 2 numbers among those of 16"),
        ({"vector": "abc"}, "jsonl:5: the vector is not a list of numbers"),
        ({"vector": None}, r"jsonl:5: no vector \(key vector: a list of numbers\)"),
        ({"vector": []}, "jsonl:5: no vector"),
        ({"vector": [float("nan")] * 16}, "NaN or infinity for document '004'"),
        ({"id": "001"}, "docid '001' comes twice"),
        ({"id": "a b"}, "jsonl:5: the document id has white space"),
    ],
)
def test_bad_lines(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    path = write(tmp_path / "embeddings.jsonl", LetterEncoder(), **changed)
    with pytest.raises(ClirError, match=message):
        import_embeddings(path, tmp_path / "index", window=3)
    assert not (tmp_path / "index").exists()


def test_no_vectors(tmp_path: Path) -> None:
    (tmp_path / "embeddings.jsonl").write_text("\n")
    with pytest.raises(ClirError, match=r"embeddings.jsonl has no vectors"):
        import_embeddings(tmp_path / "embeddings.jsonl", tmp_path / "index")

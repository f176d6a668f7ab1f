"""What is no token index, or cannot become one: refused with nothing touched."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from test_tokens import DOCUMENTS, WordEncoder, contents, read

from clir.corpora.collection import Document
from clir.encoding.token_vectors import TokenVectors
from clir.indexing.encoded import check_encoder, refuse_foreign
from clir.indexing.storage import Storage
from clir.indexing.tokens import build_token_index, open_token_index
from clir.support.errors import ClirError, UsageError


class NotFinite(WordEncoder):
    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def encode_document_tokens(self, texts: Sequence[str]) -> TokenVectors:
        vectors = super().encode_document_tokens(texts)
        vectors[texts.index("well")][0, 2] = self.number
        return vectors


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "int8", "float16"])
@pytest.mark.parametrize("number", [np.nan, -np.inf, np.inf])
def test_what_is_not_finite_is_refused_however_it_is_kept(tmp_path: Path, storage: Storage, number: float) -> None:
    with pytest.raises(ClirError, match=rf"NaN or infinity \(as {storage}\) for document '001'"):
        build_token_index(read(), NotFinite(number), tmp_path / "index", storage=storage)
    assert not (tmp_path / "index").exists()


class TooFew(WordEncoder):
    def encode_document_tokens(self, texts: Sequence[str]) -> TokenVectors:
        return super().encode_document_tokens(texts[1:])


@pytest.mark.parametrize(
    ("documents", "encoder", "message"),
    [
        ([], WordEncoder(), "no documents to encode"),
        ([*DOCUMENTS, DOCUMENTS[1]], WordEncoder(), "docid '001' comes twice"),
        ([*DOCUMENTS, Document("a b", "c")], WordEncoder(), "docid 'a b' is empty or has white space in it"),
        (DOCUMENTS, NotFinite(1e6), r"NaN or infinity \(as float16\) for document '001'"),
        (DOCUMENTS, TooFew(), "gave token vectors of 3 texts with 4 dimensions, not of 4 with 4"),
    ],
)
def test_what_is_refused_leaves_the_earlier_index_as_it_was(
    tmp_path: Path, documents: list[Document], encoder: WordEncoder, message: str
) -> None:
    build_token_index(read(DOCUMENTS[:2]), WordEncoder(), tmp_path / "index")
    before = contents(tmp_path / "index")
    with pytest.raises(ClirError, match=message):
        build_token_index(read(documents), encoder, tmp_path / "index", window=4)
    assert contents(tmp_path / "index") == before


def test_an_index_of_another_model_is_refused(tmp_path: Path) -> None:
    index = build_token_index(read(), WordEncoder(), tmp_path / "index")
    check_encoder(index, WordEncoder(limit=3))
    with pytest.raises(ClirError, match=r"was made by another model \(document fingerprint words one document\)"):
        check_encoder(index, WordEncoder(version="two"))


def test_what_is_no_token_index_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no index folder at .*nowhere"):
        open_token_index(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"is no token index \(it lacks the file values or offsets\)"):
        open_token_index(tmp_path)
    refuse_foreign(build_token_index(read(), WordEncoder(), tmp_path / "index").path, "token")
    with pytest.raises(UsageError, match="exists and is no dense index of clir's"):
        refuse_foreign(tmp_path / "index")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("docid", b"one\n", "is broken: 10 documents but 1 docids"),
        ("values", b"1234", "is broken: its values have 4 bytes, not"),
        ("scales", b"1234", "is broken: its scales have 4 bytes, not 16"),
        ("offsets", np.arange(11).astype("<i8").tobytes(), "is broken: its offsets do not go from 0 to"),
        ("meta.json", b"{}", r"is not the manifest of a token index \('documents'\)"),
        ("meta.json", b"[", "is not a manifest"),
    ],
)
def test_an_index_whose_parts_disagree_is_broken(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    index = build_token_index(read(), WordEncoder(), tmp_path / "index", storage="int8")
    (index.path / name).write_bytes(content)
    with pytest.raises(ClirError, match=message):
        open_token_index(index.path)


def test_another_way_of_keeping_vectors_is_named(tmp_path: Path) -> None:
    index = build_token_index(read(), WordEncoder(), tmp_path / "index")
    made = json.loads((index.path / "meta.json").read_text()) | {"storage": "int4"}
    (index.path / "meta.json").write_text(json.dumps(made))
    with pytest.raises(ClirError, match="keeps its vectors as 'int4', which this version of clir does not read"):
        open_token_index(index.path)

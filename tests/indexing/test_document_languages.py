"""The languages of documents beside their index: only where there are any, and found by any spelling."""

from pathlib import Path

import pytest
from test_dense_index import Interrupted, LetterEncoder, read

from clir.corpora.collection import Document
from clir.indexing.dense import build_dense_index
from clir.indexing.document_languages import document_languages, languages_of
from clir.indexing.encoded import required_languages
from clir.support.errors import ClirError, UsageError

TAGS = ["sw", "", "en", "sw", "qu", "fil"]
DOCUMENTS = [Document(f"d{number}", "abc", language=tag) for number, tag in enumerate(TAGS)]


def test_each_document_has_its_language_and_some_have_none(tmp_path: Path) -> None:
    index = build_dense_index(read(DOCUMENTS), LetterEncoder(), tmp_path / "index", window=4)
    assert (index.path / "language").read_text() == "sw\n\nen\nsw\nqu\nfil\n"
    found = document_languages(index.path)
    assert found is not None
    assert [found.codes[at] for at in found.column] == TAGS
    assert found.counts == {"en": 1, "fil": 1, "qu": 1, "sw": 2}
    assert found.chosen(["en", "swh"]).tolist() == [True, False, True, True, False, False]
    # Filipino for Tagalog; a code that clir has no name for, as it is.
    assert (found.known("tl"), found.known("qu")) == ("fil", "qu")
    for unknown in ("so", "xx", ""):
        with pytest.raises(UsageError, match=rf"no document is in '{unknown}'; the index has en, fil, qu, sw"):
            found.chosen([unknown])


def test_an_index_of_documents_without_languages_has_no_such_file(tmp_path: Path) -> None:
    plain = [doc._replace(language="") for doc in DOCUMENTS]
    index = build_dense_index(read(plain), LetterEncoder(), tmp_path / "index", window=4)
    assert sorted(path.name for path in index.path.iterdir()) == ["docid", "index", "meta.json"]
    assert document_languages(index.path) is None
    with pytest.raises(
        UsageError, match="does not know the languages of its documents: encode them again from documents with a field"
    ):
        required_languages(index)


def test_a_changed_language_is_a_changed_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_dense_index(read(DOCUMENTS), Interrupted(1), tmp_path / "index", window=3)
    changed = [doc._replace(language="so") if doc.docid == "d0" else doc for doc in DOCUMENTS]
    index = build_dense_index(read(changed), LetterEncoder(), tmp_path / "index", window=3)
    assert "the documents have changed" in capsys.readouterr().err
    assert (index.path / "language").read_text().startswith("so\n")


def test_more_languages_than_documents_are_refused(tmp_path: Path) -> None:
    index = build_dense_index(read(DOCUMENTS), LetterEncoder(), tmp_path / "index", window=4)
    with open(index.path / "language", "a") as tags:
        tags.write("sw\n")
    with pytest.raises(ClirError, match="is broken: 6 documents but 7 languages"):
        required_languages(index)


def test_languages_of_docids_from_an_index(tmp_path: Path) -> None:
    build_dense_index(read(DOCUMENTS), LetterEncoder(), tmp_path / "index", window=4)
    assert languages_of(str(tmp_path / "index"), ["d3", "d5"]) == {"d3": "sw", "d5": "fil"}
    for lacking in ("d1", "d9"):
        with pytest.raises(ClirError, match=f"gives no language for '{lacking}'"):
            languages_of(str(tmp_path / "index"), ["d0", lacking])
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match="no index that keeps the languages of its documents"):
        languages_of(str(tmp_path / "other"), ["d0"])


def test_languages_of_a_broken_index_are_refused(tmp_path: Path) -> None:
    build_dense_index(read(DOCUMENTS), LetterEncoder(), tmp_path / "index", window=4)
    with open(tmp_path / "index/language", "a") as tags:
        tags.write("sw\n")
    with pytest.raises(ClirError, match="is broken: 6 docids but 7 languages"):
        languages_of(str(tmp_path / "index"), ["d0"])

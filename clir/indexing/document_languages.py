"""The languages of an index's documents: a file `language` beside `docid`, where any document has one.

Line i is the BCP-47 code of document i, empty where it has none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clir.corpora.collection import Document
from clir.corpora.language_tags import language_tags
from clir.corpora.languages import matching
from clir.indexing.lines import read_lines
from clir.support.errors import ClirError, UsageError

FILE = "language"


@dataclasses.dataclass(frozen=True, eq=False)
class DocumentLanguages:
    """Which language each document has: `codes[column[i]]`, where `codes` is sorted and may have "" for none."""

    codes: tuple[str, ...]
    column: NDArray[np.uint16]

    @property
    def counts(self) -> dict[str, int]:
        """How many documents each language has, languages in order; documents without one are left out."""
        found = np.bincount(self.column, minlength=len(self.codes))
        return {code: int(count) for code, count in zip(self.codes, found, strict=True) if code}

    def chosen(self, languages: Sequence[str]) -> NDArray[np.bool_]:
        """(documents,) whether a document is in one of `languages` (any spelling: `swa` is `sw`).

        Raises UsageError for a language that no document is in.
        """
        wanted = np.zeros(len(self.codes), dtype=bool)
        for one in languages:
            wanted[self.codes.index(self.known(one))] = True
        return wanted[self.column]

    def known(self, language: str) -> str:
        """The code that `language` has here; UsageError if no document is in it."""
        own = [code for code in self.codes if code]
        found = language if language in own else matching_code(language, own)
        if found is None:
            raise UsageError(f"no document is in {language!r}; the index has {', '.join(own)}")
        return found


def document_languages(folder: str | Path) -> DocumentLanguages | None:
    """The languages of the documents in the index `folder`; None if it keeps none."""
    path = Path(folder) / FILE
    if not path.exists():
        return None
    # Whole files of codes fit in memory many times over: two bytes a document once they are numbers.
    codes = read_lines(path)
    names = codes.unique().sort()
    if len(names) > np.iinfo(np.uint16).max:
        raise ClirError(f"{path} has {len(names):,} languages: it is not a file of language codes")
    numbers = codes.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.uint16)
    return DocumentLanguages(tuple(names.to_list()), numbers)


def languages_of(source: str, docids: Iterable[str]) -> dict[str, str]:
    """The language of each of `docids`, by an index's folder, or by a file or pattern as `language_tags` takes them.

    Raises UsageError for a source that is none of these or an index that keeps no languages, ClirError for a docid
    without a language, naming it.
    """
    folder = Path(source)
    if not folder.is_dir():
        return language_tags(source, docids)
    if not ((folder / FILE).exists() and (folder / "docid").exists()):
        raise UsageError(f"{source}: no index that keeps the languages of its documents (files docid and {FILE})")
    known, codes = read_lines(folder / "docid"), read_lines(folder / FILE)
    if len(known) != len(codes):
        raise ClirError(f"{source} is broken: {len(known)} docids but {len(codes)} languages")
    own = dict(zip(known, codes, strict=True))
    tags = {}
    for docid in docids:
        tags[docid] = own.get(docid, "")
        if not tags[docid]:
            raise ClirError(f"{source} gives no language for {docid!r}")
    return tags


def language_lines(batch: Iterable[Document]) -> bytes:
    """What the file gets for `batch`."""
    return "".join(f"{doc.language}\n" for doc in batch).encode("utf-8")


def drop_if_empty(folder: Path, documents: int) -> None:
    """Remove the file if not one of the `documents` has a language: every line is then its end alone."""
    path = folder / FILE
    if path.stat().st_size == documents:
        path.unlink()


def matching_code(language: str, codes: Sequence[str]) -> str | None:
    """The one of `codes` that means `language`, or None; codes that clir has no name for match as they are."""
    named = []
    for code in codes:
        try:
            matching(code, [code])
            named.append(code)
        except UsageError:
            continue
    try:
        return matching(language, named)
    except UsageError:
        return None

"""Where a translation table comes from: a file, or bitext that it is learned from; and one-best translation by it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from clir.corpora.bitext import Pair, parse_specs, read_bitext
from clir.corpora.cleaning import clean
from clir.corpora.collection import Topic
from clir.corpora.languages import language as canonical
from clir.corpora.languages import same_language
from clir.retrieval.translation.table import (
    HEADER,
    TranslationTable,
    is_table,
    lacks_header,
    learn_table,
    learning,
    pairs_digest,
    read_table,
    write_table,
)
from clir.retrieval.translation.translator import Untranslated, word_by_word
from clir.retrieval.translation.words import keyed, words
from clir.support.errors import UsageError
from clir.support.files import cache_root, existing, sha256_of_file
from clir.support.progress import say

ReadPairs = Callable[[Sequence[str], str], list[Pair]]
"""From bitext specs and the foreign language to the pairs to learn from: read, cleaned, free of the test's text."""


class TableSource(Protocol):
    """A table that is there, or can be: known by its provenance before it is."""

    def table(self) -> TranslationTable:
        """The table: read, or learned."""

    def provenance(self) -> dict[str, Any]:
        """What decides the table."""


@dataclasses.dataclass(frozen=True)
class TableFile:
    """The table from `source` into `target` in a file."""

    path: Path
    source: str
    target: str

    def table(self) -> TranslationTable:
        """The table in the file; errors as `read_table`."""
        return read_table(self.path, self.source, self.target)

    def provenance(self) -> dict[str, Any]:
        """The file's checksum and the languages."""
        return {
            "path": str(self.path), "sha256": sha256_of_file(self.path), "source": self.source, "target": self.target,
        }  # fmt: skip


@dataclasses.dataclass(frozen=True)
class TableOfBitext:
    """The table from `source` into `target`, one of them English, learned from bitext; kept under `root`.

    `specs` are as for `read_bitext`, whose pairs `read` gives (default: read and cleaned; nothing is known of a
    test to keep them free of). The same pairs are not learned from twice.
    """

    specs: tuple[str, ...]
    source: str
    target: str
    read: ReadPairs
    root: Path | None = None

    def table(self) -> TranslationTable:
        """The table, from the cache where it is there already."""
        key = hashlib.sha256(json.dumps(self.provenance(), sort_keys=True).encode("ascii")).hexdigest()[:24]
        path = (self.root or cache_root() / "translation-tables") / f"{key}.tsv"
        if not path.exists():
            table = learn_table(self._pairs, from_english=self.source == "en")
            write_table(table, path)
            say(f"{path}: {len(table):,} words, {len(table.frame):,} translations from {len(self._pairs):,} pairs")
        return read_table(path, self.source, self.target)

    def provenance(self) -> dict[str, Any]:
        """The checksum of the pairs, how the table is learned, and the languages."""
        return {
            "pairs": len(self._pairs), "pairs sha256": pairs_digest(self._pairs), "learning": learning(),
            "source": self.source, "target": self.target,
        }  # fmt: skip

    @functools.cached_property
    def _pairs(self) -> list[Pair]:
        return self.read(self.specs, self.target if self.source == "en" else self.source)


def table_source(
    what: str, source: str, target: str, *, read: ReadPairs | None = None, root: Path | None = None
) -> TableSource:
    """The table that `what` names: a table's file, or bitext (several pieces with `+` between them).

    Raises UsageError for a missing file, for what is neither, and for bitext of a pair of languages without English.
    """
    source, target = canonical(source), canonical(target)
    if is_table(what):
        return TableFile(existing(what, "translation table"), source, target)
    if lacks_header(what):
        raise UsageError(
            f"{what} looks like a translation table without its first line: {', '.join(HEADER)}, with tabs between"
        )
    foreign = [code for code in (source, target) if code != "en"]
    if len(foreign) != 1:
        raise UsageError(
            f"{what} has English on one side: no table from {source!r} into {target!r} can be learned from it"
        )
    specs = (what,) if os.path.exists(what) else tuple(what.split("+"))
    for one in parse_specs(specs, foreign):
        if not same_language(one.language, foreign[0]):
            raise UsageError(
                f"{what} is bitext of {one.language!r}, but topics are translated from {source!r} into {target!r}"
            )
    return TableOfBitext(specs, source, target, read or cleaned_pairs, root)


def cleaned_pairs(specs: Sequence[str], language: str) -> list[Pair]:
    """The pairs of bitext, cleaned; UsageError if none is left."""
    pairs, _ = clean(read_bitext(specs, [language]))
    if not pairs:
        raise UsageError("no sentence pair is left after reading and cleaning the bitext")
    return pairs


@dataclasses.dataclass(frozen=True)
class TableTranslator:
    """Each word by its most probable translation in a table; words that are not in it are kept, or dropped."""

    source: TableSource
    untranslated: Untranslated = "keep"

    def __call__(self, topics: Sequence[Topic]) -> list[Topic]:
        """The topics, word by word."""
        return word_by_word(topics, lambda text: [one for word in text for one in self._best(word)], words)

    def provenance(self) -> dict[str, Any]:
        """The table's, and what becomes of other words."""
        return {"kind": "table", "untranslated": self.untranslated, **self.source.provenance()}

    def _best(self, word: str) -> list[str]:
        found = self._table[keyed(word)]
        if found:
            return [found[0].word]
        return [word] if self.untranslated == "keep" else []

    @functools.cached_property
    def _table(self) -> TranslationTable:
        return self.source.table()

"""Translation by a bilingual dictionary: TEI or a table, longest match first."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from clir.corpora import languages, tables
from clir.corpora.collection import Topic
from clir.corpora.languages import code_for
from clir.corpora.languages import language as canonical
from clir.retrieval.translation.translator import Untranslated, word_by_word
from clir.retrieval.translation.words import keyed, keys, words
from clir.support.compression import without_ending
from clir.support.errors import ClirError, UsageError
from clir.support.files import existing, open_text, sha256_of_file
from clir.support.progress import say

Senses = Literal["first", "all"]
SENSES: tuple[Senses, ...] = ("first", "all")
# Behind each may stand how the file is compressed.
TEI_ENDINGS = (".tei", ".xml")
TABLE_ENDINGS = (".tsv", ".txt", ".tab")
ENDINGS = (*TEI_ENDINGS, *TABLE_ENDINGS)
# What header lines call the columns if they name no language.
_HEADWORD = frozenset({"headword", "word", "term", "lemma", "source", "src"})
_TRANSLATION = frozenset(
    {"translation", "translations", "definition", "definitions", "meaning", "gloss", "equivalent", "target"}
)

# Remarks in brackets, and what stands between the equivalents of one definition.
DEEPEST = 9
_REMARK = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}")
_BETWEEN = re.compile(r"[,;/|]|(?:^|\s)\d+\.\s")
# What dictionaries write for the objects of a verb.
_PLACEHOLDER = re.compile(r"\b(?:sth|sb|smth|smb|s\.o|s\.th)\b\.?")


@dataclasses.dataclass(frozen=True)
class Dictionary:
    """Headwords (words in lower case, joined by spaces) and their translations, in the order of the senses.

    `language` is what the file says of the headwords; None if it does not say.
    """

    entries: Mapping[str, tuple[str, ...]]
    language: str | None = None

    @functools.cached_property
    def longest(self) -> int:
        """Words of the longest headword."""
        return max((headword.count(" ") + 1 for headword in self.entries), default=0)

    def translate(self, text: Sequence[str], senses: Senses, untranslated: Untranslated) -> list[str]:
        """The translations of the words of a text; from each word on, the longest headword is taken.

        All translations of it, or the first; a word that begins no headword is kept or dropped.
        """
        found: list[str] = []
        at = 0
        while at < len(text):
            headword, length = self._longest_from(text, at)
            if headword is not None:
                translations = self.entries[headword]
                found += translations[:1] if senses == "first" else translations
            elif untranslated == "keep":
                found.append(text[at])
            at += length
        return found

    def _longest_from(self, text: Sequence[str], at: int) -> tuple[str | None, int]:
        """The longest headword that begins at a word (None: there is none), and how many words it takes."""
        for length in range(min(self.longest, len(text) - at), 0, -1):
            headword = " ".join(map(keyed, text[at : at + length]))
            if headword in self.entries:
                return headword, length
        return None, 1


def read_dictionary(path: str | Path) -> Dictionary:
    """The dictionary in a file: TEI as FreeDict has it (.tei, .xml), or a table (.tsv, .txt, .tab); compressed or not.

    A line of a table is a headword, a tab, and translations, one a column or parted by `,`, `;`, `/` or `|`; lines
    with the same headword are its senses, `#` begins a remark. A first line that names languages or columns is no
    entry, which is said, and gives the language; cells are in quotes if all the file shows it. Of definitions, remarks
    in brackets are left out and equivalents parted. An entry of a TEI file that has no translation of its own, a
    plural for instance, has those of the entries it refers to. Case is ignored.

    Raises UsageError for a missing file or another ending, ClirError with file and line for a bad line, XML that is
    broken or declares entities, and for a dictionary without translations.
    """
    path = existing(path, "dictionary")
    name = without_ending(path.name).lower()
    language = None
    if name.endswith(TEI_ENDINGS):
        found, language = _from_tei(path)
    elif name.endswith(TABLE_ENDINGS):
        found, language = _from_table(path)
    else:
        known = ", ".join(ENDINGS)
        raise UsageError(f"{path} is not read as a dictionary: its name must end in one of {known}, compressed or not")
    entries: dict[str, dict[str, None]] = {}
    for headword, definitions in found:
        if key := " ".join(keys(headword)):
            entries.setdefault(key, {}).update(dict.fromkeys(_equivalents(definitions)))
    whole = {headword: tuple(translations) for headword, translations in entries.items() if translations}
    if not whole:
        raise ClirError(f"{path} has no translations")
    return Dictionary(whole, language)


def _from_tei(path: Path) -> tuple[list[tuple[str, list[str]]], str | None]:
    """Headwords with their definitions, and the language that most entries say they are in."""
    from clir.retrieval.translation.tei import read_tei

    entries = read_tei(path)
    own = {entry.id: [text for sense in entry.senses for text in sense] for entry in entries if entry.id}
    found = []
    for entry in entries:
        definitions = [text for sense in entry.senses for text in sense]
        definitions = definitions or [text for other in entry.refers_to for text in own.get(other, [])]
        found += [(headword, definitions) for headword in entry.headwords]
    [(language, _)] = Counter(entry.language for entry in entries).most_common(1)
    return found, language or None


def _from_table(path: Path) -> tuple[list[tuple[str, list[str]]], str | None]:
    """Headwords with their definitions, and the language that a header line says the headwords are in."""
    found: list[tuple[str, list[str]]] = []
    language = None
    quoted = path.is_file() and _is_quoted(path)
    with open_text(path, "dictionary") as lines:
        for where, cells in tables.rows(lines, path, quoted=quoted):
            if cells[0].startswith("#"):
                continue
            headword, *translations = cells
            if not translations or not words(headword):
                raise ClirError(f"{where}: a line of a dictionary is: headword, tab, translations")
            if not found and language is None and (header := _header(headword, translations[0])) is not None:
                language = header
                say(f"{where}: a header line ({headword}, {translations[0]}), no entry: left out")
                continue
            found.append((headword, translations))
    return found, language or None


def _is_quoted(path: Path) -> bool:
    with open_text(path, "dictionary") as lines:
        return tables.is_quoted(lines)


def _header(headword: str, translation: str) -> str | None:
    """The language of the headwords, or "" for one that is not known, if two cells are names of columns."""
    first, second = (
        languages.named(cell) or (canonical(cell) if languages.is_code(cell) else "")
        for cell in (headword, translation)
    )
    if first and second and first != second and "en" in (first, second):
        return first
    names_headword = bool(first) or headword.strip().lower() in _HEADWORD
    return first if names_headword and translation.strip().lower() in _TRANSLATION else None


def _equivalents(definitions: Iterable[str]) -> list[str]:
    """The equivalents in some definitions, in order, as words parted by spaces."""
    found = []
    for definition in definitions:
        bare = definition
        # The innermost brackets first; no definition has so many within each other.
        for _ in range(DEEPEST):
            bare = _REMARK.sub(" ", bare)
        for part in _BETWEEN.split(bare):
            if equivalent := " ".join(words(_PLACEHOLDER.sub(" ", part))):
                found.append(equivalent)
    return found


class DictionaryTranslator:
    """Topics in the language `source`, word by word through the dictionary in the file `path`.

    `senses`: the first translation of a word or all of them; `untranslated`: words without one are kept, or dropped.
    The file is read when it is first needed. Raises UsageError if it is missing.
    """

    def __init__(
        self, path: str | Path, source: str, *, senses: Senses = "first", untranslated: Untranslated = "keep"
    ) -> None:
        self.path, self.source = existing(path, "dictionary"), canonical(source)
        self.senses, self.untranslated = senses, untranslated

    def __call__(self, topics: Sequence[Topic]) -> list[Topic]:
        """The topics; errors as `read_dictionary`, and UsageError for a dictionary from another language."""
        return word_by_word(topics, lambda text: self.dictionary.translate(text, self.senses, self.untranslated), words)

    @functools.cached_property
    def dictionary(self) -> Dictionary:
        """What is in the file."""
        found = read_dictionary(self.path)
        if code_for(self.source, [found.language or self.source]) is None:
            raise UsageError(f"{self.path} translates from {found.language!r}, not from {self.source!r}")
        return found

    def provenance(self) -> dict[str, Any]:
        """The file's checksum, the language and the options."""
        return {
            "kind": "dictionary", "path": str(self.path), "sha256": sha256_of_file(self.path), "source": self.source,
            "senses": self.senses, "untranslated": self.untranslated,
        }  # fmt: skip

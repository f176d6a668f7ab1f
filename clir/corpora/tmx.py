"""TMX 1.4: translation units out of XML, streaming, with entities refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from clir.corpora import languages
from clir.corpora.bitext import LANGUAGE_MISSING, Pair, Report
from clir.corpora.text import folded
from clir.corpora.xml_records import local_name, xml_records
from clir.support.errors import ClirError

_LANGUAGE_KEYS = ("{http://www.w3.org/XML/1998/namespace}lang", "lang")
# Inline elements whose content is formatting code of the original file, not text: pairs of them stand around text, and
# may stand in a word; the others may stand for a line break.
_CODE = {"bpt": "", "ept": "", "it": " ", "ph": " ", "ut": " "}


NO_SEGMENT = "a <seg> is missing"


def read_tmx(path: Path, language: str, report: Report) -> Iterator[tuple[str, str]]:
    """(English, foreign) of every translation unit that has both; the others are counted in `report`.

    Of several variants of one language in a unit the first is taken. Raises ClirError for XML that
    is broken, declares entities or has no unit with both languages, saying what it has instead.
    """
    seen = _Seen()
    pairs = 0
    for unit in xml_records(path, "tu"):
        segments = seen.segments(unit)
        english, foreign = _code("en", segments), _code(language, segments)
        if english is None or foreign is None:
            one, other = (folded(segments[code]) if code else "" for code in (english, foreign))
            report.drop(LANGUAGE_MISSING if seen.whole else NO_SEGMENT, Pair(one, other, language))
            continue
        pairs += 1
        yield segments[english], segments[foreign]
    if not pairs:
        raise ClirError(f"{path} has {seen.instead(language)}")


class _Seen:
    """What the units of a file have, for a message if they have not what is looked for."""

    def __init__(self) -> None:
        self.units = self.without_segment = self.without_language = 0
        self.languages: Counter[str] = Counter()
        self.attributes: Counter[str] = Counter()
        self.whole = True
        """Whether all variants of the last unit have a segment."""

    def segments(self, unit: Element) -> dict[str, str]:
        """The text of a unit's variants by their language as it is written; the first of each that is not empty."""
        found: dict[str, str] = {}
        self.units += 1
        self.whole = True
        for variant in unit:
            if local_name(variant) != "tuv":
                continue
            code = next((variant.attrib[key] for key in _LANGUAGE_KEYS if key in variant.attrib), "")
            segment = next((child for child in variant if local_name(child) == "seg"), None)
            if segment is None:
                self.without_segment += 1
                self.whole = False
            elif not code:
                self.without_language += 1
                self.attributes.update(variant.attrib.keys())
            elif not found.get(code, "").strip():
                found[code] = _text(segment)
        self.languages.update(found.keys())
        return found

    def instead(self, language: str) -> str:
        """What a file has that has no unit with English and `language`."""
        if not self.units:
            return "no translation unit (<tu>): it is no TMX, or an empty one"
        there = " ".join(", ".join(sorted(self.languages)).split())[:300] or "none"
        none = f"no translation unit with both en and {language} (its languages: {there}; units: {self.units:,}"
        if self.without_segment:
            return f"{none}; {self.without_segment:,} <tuv> without a <seg>, in which TMX keeps the text)"
        if self.without_language:
            have = ", ".join(sorted(self.attributes))[:100] or "none"
            return f"{none}; {self.without_language:,} <tuv> without xml:lang; attributes: {have})"
        return f"{none})"


def _code(language: str, segments: dict[str, str]) -> str | None:
    """Under which code a unit has a language, an empty text only if there is no other."""
    full = [code for code, text in segments.items() if text.strip()]
    return languages.code_for(language, full) or languages.code_for(language, segments)


def _text(element: Element) -> str:
    """The text in an element and in what is inside it, without formatting code; no depth is too much."""
    parts: list[str] = []
    waiting: list[Element | str] = [element]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            parts.append(item)
            continue
        parts.append(item.text or "")
        for child in reversed(item):
            waiting += [child.tail or "", _CODE.get(local_name(child), child)]
    return "".join(parts)

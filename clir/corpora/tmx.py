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


def read_tmx(path: Path, language: str, report: Report) -> Iterator[tuple[str, str]]:
    """(English, foreign) of every translation unit that has both; the others are counted in `report`.

    Of several variants of one language in a unit the first is taken. Raises ClirError for XML that
    is broken, declares entities or has no unit with both languages.
    """
    found: Counter[str] = Counter()
    pairs = 0
    for unit in xml_records(path, "tu"):
        segments = _segments(unit)
        found.update(segments.keys())
        english, foreign = _code("en", segments), _code(language, segments)
        if english is None or foreign is None:
            one, other = (folded(segments[code]) if code else "" for code in (english, foreign))
            report.drop(LANGUAGE_MISSING, Pair(one, other, language))
            continue
        pairs += 1
        yield segments[english], segments[foreign]
    if not pairs:
        there = " ".join(", ".join(sorted(found)).split())[:300] or "none"
        raise ClirError(f"{path} has no translation unit with both en and {language} (its languages: {there})")


def _segments(unit: Element) -> dict[str, str]:
    """The text of a unit's variants by their language as it is written; the first of each that is not empty."""
    segments: dict[str, str] = {}
    for variant in unit:
        if local_name(variant) != "tuv":
            continue
        code = next((variant.attrib[key] for key in _LANGUAGE_KEYS if key in variant.attrib), "")
        segment = next((child for child in variant if local_name(child) == "seg"), None)
        if code and segment is not None and not segments.get(code, "").strip():
            segments[code] = _text(segment)
    return segments


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

"""Topics in tags: XML as CLEF, NTCIR, FIRE and TREC's newer tracks have it, and TREC's own SGML, which closes few tags
and escapes nothing."""

from __future__ import annotations

import html
import re
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from clir.corpora.markup import without_comments
from clir.corpora.xml_records import local_name
from clir.support.errors import ClirError, quoted
from clir.support.progress import say

# Elements that are topics, where they stand in no other of these; and where a file has none of them.
TOPIC_TAGS = (("top", "topic", "query", "question", "q"), ("doc",))
# Tags, then attributes, that hold a topic's id.
ID_NAMES = (
    "num", "number", "qid", "identifier", "id", "topic_id", "topicid", "topic-id", "query_id", "queryid", "query-id",
    "question_id", "q_id", "docno",
)  # fmt: skip
LANGUAGE_NAMES = ("lang", "language")
# Text of a topic that stands in no tag of its own.
LOOSE = "text"
# The words that TREC writes before the text of a field, by its tag.
_LABELS = {
    "num": r"(?:Number|Num|Topic)(?: *:|\s)", "number": r"Number(?: *:|\s)", "title": "Topic *:",
    "desc": "Description *[:\n]", "narr": "Narrative *[:\n]", "dom": "Domain *:",
    "smry": "Summary *:", "con": r"Concept(?:s|\(s\))? *:",
    "fac": r"Factor(?:s|\(s\))? *:", "def": r"Definition(?:s|\(s\))? *:",
}  # fmt: skip
_TAG = re.compile(r"""<(/?)([A-Za-z][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+))*)\s*(/?)>""")
_ATTRIBUTE = re.compile(r"""([\w.:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+))""")
# Tags that are part of a text.
_INLINE = re.compile(r"</?(?:p|br|b|i|em|strong|u|sub|sup|s)\s*/?>", re.IGNORECASE)
# A declaration, and a DOCTYPE with what stands in its brackets.
_BEFORE = re.compile(r"\A\s*(?:<\?[^<>]*>\s*)?(?:<!DOCTYPE[^\[>]*(?:\[[^\]]*\]\s*)?>)?", re.IGNORECASE)


class Block(NamedTuple):
    """A topic as it stands in the markup: `path:line`, its tag, attributes, and the texts of its tags in order."""

    where: str
    tag: str
    attributes: dict[str, str]
    parts: list[tuple[str, str]]


class MarkedTopic(NamedTuple):
    """A topic of a file with markup; the names of its fields are in small letters."""

    where: str
    qid: str
    fields: dict[str, str]
    language: str


def marked_topics(text: str, path: Path) -> list[MarkedTopic]:
    """The topics of a text with markup, in its order.

    Raises ClirError with file and line for an element that is a topic and has no id or two, one that is not closed,
    and XML that declares entities.
    """
    blocks = _xml_blocks(text, path)
    if blocks is None:
        text = _BEFORE.sub(lambda found: "\n" * found[0].count("\n"), without_comments(text))
        blocks = list(_sgml_blocks(text, path))
    return [_topic(block) for block in blocks]


def _topic(block: Block) -> MarkedTopic:
    where, tag, attributes, parts = block
    own = [name for name in ID_NAMES if any(name == part for part, _ in parts)][:1]
    if own:
        ids = [text for name, text in parts if name == own[0]]
    else:
        own = [name for name in ID_NAMES if name in attributes][:1]
        ids = [attributes[name] for name in own]
    if not ids:
        raise ClirError(f"{where}: a <{tag}> without <num>, or another tag or attribute that is its id")
    if len(ids) > 1:
        raise ClirError(f"{where}: a <{tag}> with two ids, {quoted(ids[0])} and {quoted(ids[1])}: is one not closed?")
    pieces: dict[str, list[str]] = {}
    for name, part in parts:
        if name != own[0]:
            pieces.setdefault(name, []).append(part)
    fields = {name: " ".join(filter(None, found)) for name, found in pieces.items()}
    for name, value in attributes.items():
        if name not in (*own, *LANGUAGE_NAMES):
            fields.setdefault(name, " ".join(value.split()))
    language = next((attributes[name] for name in LANGUAGE_NAMES if attributes.get(name)), "")
    return MarkedTopic(where, ids[0], fields, language)


def _tidy(name: str, text: str) -> str:
    """A field's text in one line, without the label that stands before it."""
    label = _LABELS.get(re.sub(r"^[a-z]{2}-", "", name))
    if label:
        text = re.sub(rf"\A\s*{label}", " ", text, flags=re.IGNORECASE)
    return " ".join(text.split())


class _Builder(TreeBuilder):
    """A tree whose elements know their lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[Element, int] = {}
        self.parser: Any = None

    def start(self, tag: Any, attrs: Any, /) -> Element:
        element = super().start(tag, attrs)
        self.lines[element] = self.parser.CurrentLineNumber
        return element


def _xml_blocks(text: str, path: Path) -> list[Block] | None:
    """The topics of a text that is XML; None if it is not."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    builder = _Builder()
    # A DOCTYPE is usual here, and harmless as long as it brings no entity.
    parser = DefusedXMLParser(target=builder, forbid_dtd=False)
    builder.parser = parser.parser
    try:
        parser.feed(text.lstrip())
        root: Element = parser.close()
    except ParseError:
        return None
    except DefusedXmlException as error:
        raise ClirError(f"{path}: XML with entities or external references is refused: {error}") from error
    before = text.count("\n", 0, len(text) - len(text.lstrip()))
    for group in TOPIC_TAGS:
        if found := list(_outermost(root, group)):
            return [_element_block(element, f"{path}:{before + builder.lines[element]}") for element in found]
    raise _without_topics(path, (_name(element) for element in root.iter()))


def _outermost(root: Element, names: tuple[str, ...]) -> Iterator[Element]:
    waiting = [root]
    while waiting:
        element = waiting.pop()
        if _name(element) in names:
            yield element
        else:
            waiting.extend(reversed(element))


def _name(element: Element) -> str:
    return (local_name(element) or str(element.tag)).lower()


def _element_block(element: Element, where: str) -> Block:
    parts = [(_name(child), _tidy(_name(child), " ".join(child.itertext()))) for child in element]
    loose = " ".join(text for text in (element.text, *(child.tail for child in element)) if text and text.strip())
    if loose:
        parts.append((LOOSE, _tidy(LOOSE, loose)))
    attributes = {name.rpartition("}")[2].lower(): value for name, value in element.attrib.items()}
    return Block(where, _name(element), attributes, parts)


def _without_topics(path: Path, names: Iterator[str]) -> ClirError:
    seen = ", ".join(f"<{name}>" for name in list(dict.fromkeys(names))[:12])
    known = ", ".join(f"<{name}>" for name in TOPIC_TAGS[0][:3])
    return ClirError(f"{path} has no topics: none of the tags {known}; it has {seen or 'no tags'}")


def _sgml_blocks(text: str, path: Path) -> Iterator[Block]:
    tags = list(_TAG.finditer(text))
    names = {tag[2].lower() for tag in tags if not tag[1]}
    group = next((group for group in TOPIC_TAGS if names.intersection(group)), None)
    if group is None:
        raise _without_topics(path, (tag[2].lower() for tag in tags))
    line = at = 0
    begun: re.Match[str] | None = None
    first = 0
    for tag in tags:
        name = tag[2].lower()
        if name not in group or (begun and name not in _ends(begun[2].lower())):
            continue
        line, at = line + text.count("\n", at, tag.start()), tag.start()
        if not tag[1]:
            if begun:
                yield _unclosed(text[begun.end() : at], begun, path, first, line + 1)
            begun, first = tag, line + 1
        if begun and (tag[1] or tag[4]):
            inside = text[begun.end() : tag.start()] if tag[1] else ""
            yield Block(f"{path}:{first}", begun[2].lower(), _attributes(begun[3]), _sgml_parts(inside))
            begun = None
    if begun:
        raise ClirError(f"{path}:{first}: this <{begun[2].lower()}> is never closed")


def _ends(name: str) -> tuple[str, ...]:
    """The tags that can end a topic of this one; others are fields of it."""
    return ("top", "topic") if name in ("top", "topic") else (name,)


def _unclosed(text: str, begun: re.Match[str], path: Path, first: int, line: int) -> Block:
    """A topic that ends where the next one begins, which is said; ClirError if it is not whole."""
    block = Block(f"{path}:{first}", begun[2].lower(), _attributes(begun[3]), _sgml_parts(text))
    fault = f"{path}:{line}: a <{block.tag}> begins before the one of line {first} is closed"
    found = [name for name, part in block.parts if part]
    if len(found) != len(set(found)) or not set(found).difference(ID_NAMES):
        raise ClirError(fault)
    say(f"{fault}: taken as its end")
    return block


def _attributes(text: str) -> dict[str, str]:
    return {
        found[1].lower().rpartition(":")[2]: html.unescape(found[2] or found[3] or found[4] or "")
        for found in _ATTRIBUTE.finditer(text)
    }


def _sgml_parts(text: str) -> list[tuple[str, str]]:
    """The texts of a topic's tags: up to the tag that closes it, or to the next tag where none does."""
    text = _INLINE.sub(" ", text)
    tags = list(_TAG.finditer(text))
    closing: dict[str, list[int]] = {}
    for number, tag in enumerate(tags):
        if tag[1]:
            closing.setdefault(tag[2].lower(), []).append(number)
    parts: list[tuple[str, str]] = []
    loose: list[str] = []
    at = number = 0
    while number < len(tags):
        tag = tags[number]
        loose.append(text[at : tag.start()])
        at, number = tag.end(), number + 1
        if tag[1]:
            continue
        name = tag[2].lower()
        ends = closing.get(name, [])
        ends = ends[(first := bisect_left(ends, number)) : first + 1]
        if tag[4]:
            parts.append((name, ""))
        elif ends:
            parts.append((name, _plain(name, text[tag.end() : tags[ends[0]].start()])))
            at, number = tags[ends[0]].end(), ends[0] + 1
        else:
            end = tags[number].start() if number < len(tags) else len(text)
            parts.append((name, _plain(name, text[at:end])))
            at = end
    loose.append(text[at:])
    if any(piece.strip() for piece in loose):
        parts.append((LOOSE, _plain(LOOSE, " ".join(loose))))
    return parts


def _plain(name: str, text: str) -> str:
    return _tidy(name, html.unescape(_TAG.sub(" ", text)))

"""Documents in TREC's markup: `<DOC>`, `<DOCNO>`, and tags for title and text that every newspaper has its own of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from clir.corpora.markup import plain, without_comments
from clir.support.errors import ClirError, quoted

ID_TAGS = ("docno", "docid", "id")
TITLE_TAGS = ("title", "headline", "hl", "head", "ttl", "ti")
# The text is in those of the first group that has any: TEXT may stand inside BODY.
TEXT_TAGS = (("text", "lp", "leadpara"), ("contents", "content", "abstract", "body"))
# What is said about a document; not of its text where no tag says which that is.
ABOUT_TAGS = (
    "docid", "dochdr", "date", "date1", "dateline", "byline", "section", "length", "type", "subject", "graphic",
    "parent", "url", "pub", "profile", "docoldno", "fileid", "language", "lang", "correction", "header",
)  # fmt: skip
LANGUAGE_TAGS = ("language", "lang")
# The longest document that is looked for.
LONGEST = 1 << 28
_BEGIN = re.compile(r"\s*<doc((?:\s[^<>]*)?)>", re.IGNORECASE)
# What may stand between documents.
_TAGS = re.compile(r"(?:\s+|(?!<doc[\s>])</?[a-z!?][^<>]*>)*", re.IGNORECASE)
_NAME = re.compile(r"<([a-z][\w-]*)", re.IGNORECASE)
_END = re.compile(r"</doc\s*>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""\b(id|docno|docid|lang|language)\s*=\s*["']?([^"'\s<>]+)""", re.IGNORECASE)


def trec_documents(handle: IO[str], path: str | Path) -> Iterator[tuple[str, dict[str, str]]]:
    """`(path:line, {id, title, text, language})` for every `<DOC>` of an open file, the line where it begins.

    The title is the first of TITLE_TAGS, the text all of TEXT_TAGS, or, in a document without any, what is in neither
    these nor ABOUT_TAGS. Tags inside are taken out, and entities are read. Streams. Raises ClirError with file and line
    for a document without id, one that is not closed or inside another, and text that stands in none.
    """
    begun, parts, size, attributes = 0, [""], 0, ""
    for number, line in enumerate(handle, 1):
        rest = line
        while rest:
            if not begun:
                start = _BEGIN.match(rest)
                if start is None:
                    rest = _outside(rest, f"{path}:{number}")
                    continue
                begun, parts, size, attributes = number, [], 0, start[1]
                rest = rest[start.end() :]
            elif parts and parts[-1].endswith("\n") and _BEGIN.match(rest):
                raise ClirError(f"{path}:{number}: a <DOC> begins before the one of line {begun} is closed")
            end = _END.search(rest)
            parts.append(rest if end is None else rest[: end.start()])
            size += len(parts[-1])
            if size > LONGEST:
                raise ClirError(f"{path}:{begun}: this <DOC> has more than {LONGEST:,} characters: is it closed?")
            rest = "" if end is None else rest[end.end() :]
            if end is not None:
                where = f"{path}:{begun}"
                yield where, _document("".join(parts), attributes, where)
                begun = 0
    if begun:
        raise ClirError(f"{path}:{begun}: this <DOC> is never closed")


def _outside(text: str, where: str) -> str:
    """What is left of a line behind the tags that stand between documents (a root's, a declaration's)."""
    tags = _TAGS.match(text)
    rest = text[tags.end() :] if tags else text
    if rest and not _BEGIN.match(rest):
        raise ClirError(f"{where}: stands in no <DOC>: {quoted(rest.strip(), 40)}")
    return rest


def _document(text: str, attributes: str, where: str) -> dict[str, str]:
    text = without_comments(text)
    said = {name.lower(): value for name, value in _ATTRIBUTE.findall(attributes)}
    present = {name.lower() for name in _NAME.findall(text)}
    docid = _first(text, ID_TAGS, present) or next((said[tag] for tag in ID_TAGS if tag in said), "")
    if not docid:
        raise ClirError(f"{where}: a <DOC> without <DOCNO>")
    title = _first(text, TITLE_TAGS, present)
    body = next((body for tags in TEXT_TAGS if (body := _inside(text, tags, to_end=True)[0])), "")
    if not body:
        body = plain(_inside(text, (*ID_TAGS, *TITLE_TAGS, *ABOUT_TAGS))[1])
    language = next((said[tag] for tag in LANGUAGE_TAGS if tag in said), "") or _first(text, LANGUAGE_TAGS, present)
    return {"id": docid, "title": title, "text": body, "language": language}


def _first(text: str, tags: tuple[str, ...], present: set[str]) -> str:
    """What stands in the first of these tags, of those that are present, that has something in it."""
    return next((found for tag in tags if tag in present and (found := _inside(text, (tag,))[0])), "")


def _inside(text: str, tags: tuple[str, ...], to_end: bool = False) -> tuple[str, str]:
    """What stands in these tags, without the tags in it, and the rest of the text.

    A tag that is not closed ends at the next tag, or with `to_end` at the document's end.
    """
    opening = re.compile(rf"<({'|'.join(map(re.escape, tags))})(?:\s[^<>]*)?>", re.IGNORECASE)
    pieces, rest, at = [], [], 0
    never_closed: set[str] = set()
    while found := opening.search(text, at):
        name = found[1].lower()
        rest.append(text[at : found.start()])
        closing = None
        if name not in never_closed:
            closing = re.compile(rf"</{re.escape(name)}\s*>", re.IGNORECASE).search(text, found.end())
        if closing is None:
            never_closed.add(name)
            following = -1 if to_end else text.find("<", found.end())
            end = at = len(text) if following < 0 else following
        else:
            end, at = closing.span()
        pieces.append(plain(text[found.end() : end]))
    rest.append(text[at:])
    return " ".join(filter(None, pieces)), "".join(rest)

"""What other tools leave in sentences: HTML's and Moses' escapes, the joiners of Moses' tokenizer, tags, subwords."""

from __future__ import annotations

import html
import html.entities
import re

# What is met, as reports count it.
ESCAPES = "pairs with escapes (as &quot;), undone"
STILL_ESCAPED = "pairs with escapes of escapes (as &amp;quot;), undone once"
JOINERS = "pairs with a tokenizer's joiners (@-@), undone"
TAGS = "pairs with tags (as <b>), kept"
SUBWORDS = "pairs with marks of subwords (@@), kept"

# Only what ends in a semicolon: "AT&T", "R&B" and "&copy" are text.
_REFERENCE = re.compile(r"&(#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);")
# Older versions of Moses; HTML does not know them.
_MOSES = {"bar;": "|", "bra;": "[", "ket;": "]"}
_JOINER = re.compile(r"(?<=\w) @([-/,.:])@ (?=\w)")
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9:-]*(?:\s+[A-Za-z:-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'>]+))*\s*/?>")
_SUBWORD = re.compile(r"\w@@(?: |$)")


def unescaped(text: str) -> str:
    """`text` with every entity and character reference that ends in a semicolon made what it stands for, once.

    HTML's names and numbers, as `html.unescape` reads them, and the escapes of Moses
    (escape-special-chars.perl: `&apos;`, `&#124;`, `&bar;`). Once means that `&amp;lt;` is `&lt;`. What has no
    semicolon, or a name that nobody knows, is text.
    """
    return _REFERENCE.sub(_meant, text) if "&" in text else text


def _meant(reference: re.Match[str]) -> str:
    name = f"{reference[1]};"
    if name[0] == "#":
        return html.unescape(reference[0])
    return html.entities.html5.get(name) or _MOSES.get(name) or reference[0]


def has_marks(text: str) -> bool:
    """Whether `text` has a character that every escape, joiner and tag has: a quick look."""
    # Three searches for a character take a tenth of the time of one for a class of characters.
    return "&" in text or "<" in text or "@" in text


def without_escapes(text: str, found: set[str]) -> str:
    """`text` with escapes and joiners undone; what was met, undone or kept, is added to `found` (ESCAPES, TAGS)."""
    plain = unescaped(text)
    if plain != text:
        found.add(ESCAPES)
        if unescaped(plain) != plain:
            found.add(STILL_ESCAPED)
    joined = _JOINER.sub(r"\1", plain) if "@" in plain else plain
    if joined != plain:
        found.add(JOINERS)
    if "<" in joined and _TAG.search(joined):
        found.add(TAGS)
    if "@@" in joined and _SUBWORD.search(joined):
        found.add(SUBWORDS)
    return joined

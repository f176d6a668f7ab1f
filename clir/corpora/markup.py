"""Tags that no XML parser is asked about: TREC's SGML of topics and documents."""

from __future__ import annotations

import html
import re

MARKUP = re.compile(r"</?[a-z!?][^<>]*>", re.IGNORECASE)
# Names that TREC's disks use and HTML does not have.
_NAMES = {"&blank;": " ", "&hyph;": "-"}


def without_comments(text: str) -> str:
    """A text without `<!-- ... -->`, the lines of these kept; what is never closed stays."""
    parts, at = [], 0
    while (begin := text.find("<!--", at)) >= 0 and (end := text.find("-->", begin + 4)) >= 0:
        parts += [text[at:begin], "\n" * text.count("\n", begin, end)]
        at = end + 3
    return "".join([*parts, text[at:]])


def plain(text: str) -> str:
    """What is to be read of a piece of markup: no tags, entities as what they mean, white space as single spaces."""
    text = MARKUP.sub(" ", text)
    for name, meaning in _NAMES.items():
        text = text.replace(name, meaning)
    return " ".join(html.unescape(text).split())

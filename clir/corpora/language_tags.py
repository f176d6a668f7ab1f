"""Which language an id belongs to: a file `id<TAB>language`, or a pattern over the ids themselves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from clir.corpora.languages import language
from clir.support.errors import ClirError, UsageError
from clir.support.files import existing, open_text

GROUP = "language"


def language_tags(source: str, ids: Iterable[str]) -> dict[str, str]:
    """The language of each of `ids`, by `source`: a file, or a regular expression whose group (the only one, or the
    one named `language`) finds the code in an id, as `^(?P<language>[a-z]+)_`.

    Raises UsageError for a source that is neither, ClirError for an id without a language, naming it.
    """
    if os.path.isfile(source):
        tags = read_language_tags(source)
        return {one: _tag(tags.get(one), one, source) for one in ids}
    pattern = _pattern(source)
    return {one: _found(pattern, one) for one in ids}


def read_language_tags(path: str | Path) -> dict[str, str]:
    """`{id: language code}` from lines of an id, a tab and a code; ClirError with file and line for any other."""
    tags: dict[str, str] = {}
    with open_text(existing(path, "language file")) as lines:
        for number, line in enumerate(lines, 1):
            parts = line.rstrip("\r\n").split("\t")
            if len(parts) != 2 or not all(parts):
                raise ClirError(f"{path}:{number}: not an id, a tab and a language code")
            try:
                tags[parts[0]] = language(parts[1])
            except ClirError as error:
                raise ClirError(f"{path}:{number}: {error}") from error
    return tags


def _pattern(source: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(source)
    except re.error as error:
        raise UsageError(f"{source}: no such file, and no regular expression ({error})") from error
    if GROUP not in pattern.groupindex and pattern.groups != 1:
        raise UsageError(
            f"{source}: no such file; a regular expression needs a group that finds the language, as in '^([a-z]+)_'"
        )
    return pattern


def _found(pattern: re.Pattern[str], one: str) -> str:
    match = pattern.search(one)
    group = GROUP if GROUP in pattern.groupindex else 1
    return _tag(match[group] and language(match[group]) if match else None, one, pattern.pattern)


def _tag(found: str | None, one: str, source: str) -> str:
    if not found:
        raise ClirError(f"{source} gives no language for {one!r}")
    return found

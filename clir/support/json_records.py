"""JSON as other people write it: an object a line, a list of objects, or objects over several lines; a key that stands
twice in one object is refused, since one of its values would be lost."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from clir.support.errors import ClirError, quoted

Records = Iterator[tuple[str, dict[str, Any]]]
BLOCK = 1 << 16
# The longest object that is looked for over several lines.
LONGEST = 1 << 28
# A fault so near to the end of what was read may be none: the rest of a word or number comes with the next block.
WORD = 16
_NOT_SPACE = re.compile(r"\S")


class RepeatedKey(ValueError):
    """A key stands twice in one object; the message names it."""


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these keys and values, for `json`'s `object_pairs_hook`; RepeatedKey if a key comes again."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        again = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise RepeatedKey(f"the key {quoted(again)} stands twice in one object")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=once_each)


def json_records(handle: IO[str], path: str | Path) -> Records:
    """`(path:line, object)` for every JSON object of an open text file, one after another, the line where it begins.

    The file holds an object a line (blank lines are skipped), one list of objects, or objects that each go over
    several lines. Of a list or of such objects no more than one is in memory. Raises ClirError with file and line for
    what is no JSON, a key that stands twice in one object, and a value that is no object.
    """
    text = _Text(handle)
    if text.next_character() == "[":
        yield from _listed(text, path)
    else:
        yield from _lines(text, path)


def parsed(text: str, where: str) -> Any:
    """The value of one JSON text; ClirError, starting with `where` (`path:12`), for what is none or repeats a key."""
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ClirError(f"{where}: not JSON: {_said(error)} at character {error.pos + 1:,}") from error
    except RepeatedKey as error:
        raise ClirError(f"{where}: {error}: only one of its values would be read") from error
    except (ValueError, RecursionError) as error:
        raise ClirError(f"{where}: not JSON: {error}") from error


def whole(text: str, path: str | Path) -> Any:
    """The value of a whole JSON file; ClirError with file and line for what is none, or repeats a key, or has NaN."""
    try:
        return json.loads(text, object_pairs_hook=once_each, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ClirError(f"{path}:{error.lineno}: not JSON: {_said(error)}") from error
    except RepeatedKey as error:
        raise ClirError(f"{path}: {error}: only one of its values would be read") from error
    except (ValueError, RecursionError) as error:
        raise ClirError(f"{path}: not JSON: {error}") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no value there")


class _Text:
    """What of a file has been read, how far it is used, and the line of that place."""

    def __init__(self, handle: IO[str]) -> None:
        self._handle = handle
        self.text, self.at, self.line = "", 0, 1

    def go_to(self, at: int) -> None:
        """Leave what stands before `at` behind."""
        self.line += self.text.count("\n", self.at, at)
        self.at = at

    def more(self, size: int = BLOCK) -> bool:
        """Read on, forgetting what is used; whether there was more."""
        if not (more := self._handle.read(size)):
            return False
        self.text, self.at = self.text[self.at :] + more, 0
        return True

    def next_character(self) -> str:
        """Go on to the next character that is not white space, and tell it; "" at the end of the file."""
        while True:
            at = _NOT_SPACE.search(self.text, self.at)
            self.go_to(at.start() if at else len(self.text))
            if at:
                return at[0]
            if not self.more():
                return ""

    def next_line(self) -> str:
        """The rest of this line, with its end; "" at the end of the file."""
        end = self.text.find("\n", self.at) + 1
        if not end:
            self.text, self.at = self.text[self.at :] + self._handle.readline(), 0
            end = len(self.text)
        line = self.text[self.at : end]
        self.at, self.line = end, self.line + 1
        return line

    def back(self, line: str) -> None:
        """Undo `next_line`."""
        self.at, self.line = self.at - len(line), self.line - 1


def _lines(text: _Text, path: str | Path) -> Records:
    """Objects of a line each, up to the first that goes on in the next line."""
    while line := text.next_line():
        if line.isspace():
            continue
        where = f"{path}:{text.line - 1}"
        try:
            value = parsed(line.strip(), where)
        except ClirError as error:
            if not _goes_on(error.__cause__, line):
                raise
            text.back(line)
            yield from _spread(text, path)
            return
        yield where, _object(value, where)


def _goes_on(error: BaseException | None, line: str) -> bool:
    """Whether a line is broken in such a way that the next one can mend it: where it ends, something is missing."""
    at_end = isinstance(error, json.JSONDecodeError) and error.pos >= len(line.strip())
    return at_end and line.lstrip()[:1] == "{"


def _listed(text: _Text, path: str | Path) -> Records:
    begun = text.line
    text.go_to(text.at + 1)
    mark = text.next_character()
    while mark != "]":
        yield _next(text, path)
        mark = text.next_character()
        if mark not in (",", "]"):
            fault = f"the list that begins on line {begun} is not closed" if not mark else "not JSON: no comma"
            raise ClirError(f"{path}:{text.line}: {fault}")
        if mark == ",":
            text.go_to(text.at + 1)
    text.go_to(text.at + 1)
    if text.next_character():
        raise ClirError(f"{path}:{text.line}: not JSON: something stands behind the list")


def _spread(text: _Text, path: str | Path) -> Records:
    while text.next_character():
        yield _next(text, path)


def _next(text: _Text, path: str | Path) -> tuple[str, dict[str, Any]]:
    """The object that begins here, however many blocks it goes over."""
    text.next_character()
    where, size = f"{path}:{text.line}", BLOCK
    while True:
        try:
            value, end = _DECODER.raw_decode(text.text, text.at)
            break
        except json.JSONDecodeError as error:
            if not (_ends_early(error, text, WORD) and text.more(size)):
                if _ends_early(error, text, 0):
                    raise ClirError(f"{where}: not JSON: what begins here is not whole") from error
                line = text.line + text.text.count("\n", text.at, error.pos)
                raise ClirError(f"{path}:{line}: not JSON: {_said(error)}") from error
            # Twice as much each time, so that a long object is not parsed for every block of it.
            size *= 2
        except RepeatedKey as error:
            raise ClirError(f"{where}: {error}: only one of its values would be read") from error
        except (ValueError, RecursionError) as error:
            raise ClirError(f"{where}: not JSON: {error}") from error
    text.go_to(end)
    return where, _object(value, where)


def _ends_early(error: json.JSONDecodeError, text: _Text, margin: int) -> bool:
    """Whether the fault is that the text ends too early: it is seen in the last `margin` characters, or beyond."""
    if len(text.text) - text.at > LONGEST:
        return False
    return error.msg.startswith("Unterminated string") or error.pos >= len(text.text.rstrip()) - margin


def _said(error: json.JSONDecodeError) -> str:
    """What is wrong, in words of the file where the fault is a common one."""
    at = error.pos
    if error.doc.startswith("\ufeff"):
        return "the file begins with a byte order mark: write it as plain UTF-8"
    if error.doc.startswith(("#", "//", "/*"), at):
        return "JSON has no comments"
    if error.doc.startswith("'", at):
        return "JSON's quotes are double (\")"
    if error.doc.startswith(("}", "]"), at) and error.doc[:at].rstrip().endswith(","):
        return "a comma stands before the closing bracket"
    return error.msg.removesuffix(" starting at")


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ClirError(f"{where}: not a JSON object: {quoted(value, 40)}")
    return value

"""The two errors that commands turn into one line: wrong use, and failure."""

from __future__ import annotations


class ClirError(Exception):
    """The work could not be done. The message says what, where, and what to do; exit status 1."""

    exit_status = 1


class UsageError(ClirError):
    """The request itself is wrong (an unknown option value, a missing file); exit status 2."""

    exit_status = 2


def unknown(kind: str, name: str, known: list[str] | tuple[str, ...]) -> UsageError:
    """An error for a name that is not in a closed list, with the nearest one suggested."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UsageError(f"unknown {kind} {name!r}{hint} (known: {', '.join(known)})")

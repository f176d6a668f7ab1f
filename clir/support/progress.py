"""Progress on stderr for work that takes longer than two seconds; nothing for shorter work."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

SILENT_SECONDS = 2.0
# Between lines where stderr is a file or a pipe, so that logs stay short.
LOG_SECONDS = 15.0


class Progress:
    """A count of done units: a live line on a terminal, a line now and then in a log.

    Use as a context manager; `advance(n)` after n units. `total` may be unknown (None).
    """

    def __init__(self, what: str, total: int | None = None, unit: str = "") -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = 0
        self._resumed = 0
        self._started = time.monotonic()
        self._shown = self._started + SILENT_SECONDS
        self._width = 0
        self._shown_at = -1

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._width or (self.done and time.monotonic() - self._started > SILENT_SECONDS):
            self._show(last=True)

    def resume_at(self, done: int) -> None:
        """Say that `done` units were there before this process began (they do not count as speed)."""
        self.done = self._resumed = done

    def advance(self, units: int = 1) -> None:
        """Count `units` more."""
        self.done += units
        if time.monotonic() >= self._shown:
            self._show()

    def note(self, text: str) -> None:
        """Change what the line says is going on."""
        self.what = text

    def _show(self, last: bool = False) -> None:
        now = time.monotonic()
        live = sys.stderr.isatty()
        self._shown = now + (0.1 if live else LOG_SECONDS)
        if (self._shown_at == self.done and not live) or not _speaks():
            return
        self._shown_at = self.done
        line = self._line(now - self._started)
        if live:
            sys.stderr.write("\r" + line.ljust(self._width) + ("\n" if last else ""))
            self._width = len(line)
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def _line(self, seconds: float) -> str:
        speed = (self.done - self._resumed) / seconds if seconds > 0 else 0.0
        parts = [f"{self.what}: {self.done:,}"]
        if self.total:
            parts[0] += f" of {self.total:,} {self.unit}".rstrip()
            parts.append(f"{100 * self.done / self.total:.0f} %")
        elif self.unit:
            parts[0] += f" {self.unit}"
        parts.append(f"{speed:,.1f}/s")
        if self.total and speed > 0 and self.done < self.total:
            parts.append(f"{_clock((self.total - self.done) / speed)} left")
        else:
            parts.append(_clock(seconds))
        return ", ".join(parts)


def track(items: Iterable[Item], what: str, total: int | None = None, unit: str = "") -> Iterator[Item]:
    """Yield `items` while counting them."""
    with Progress(what, total, unit) as progress:
        for item in items:
            yield item
            progress.advance()


def say(message: str) -> None:
    """One line to the person, on stderr; of several processes that work together only the first speaks."""
    if _speaks():
        print(message, file=sys.stderr, flush=True)


def _speaks() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

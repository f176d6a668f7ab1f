"""The frame of every door: a parser with examples, and errors as one line with an exit status."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from clir.support.errors import ClirError, UsageError


class Parser(argparse.ArgumentParser):
    """argparse with examples under the help, full option names only, and one-line usage errors."""

    def __init__(self, door: str, description: str, examples: str) -> None:
        super().__init__(
            prog=f"python -m clir.{door}",
            description=description,
            epilog="examples:\n" + "\n".join("  " + line for line in examples.strip().splitlines()),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (see --help)", file=sys.stderr)
        raise SystemExit(2)


def run_door(parser: Parser, work: Callable[[argparse.Namespace], None], argv: Sequence[str] | None = None) -> int:
    """Parse `argv`, do `work`, and return the exit status: 0, 1 (failure), 2 (wrong use), 130 (interrupted)."""
    options = parser.parse_args(argv)
    try:
        work(options)
        sys.stdout.flush()
    except ClirError as error:
        if options.debug:
            raise
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        if options.debug:
            raise
        print(f"{parser.prog}: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except Exception as error:
        if options.debug:
            raise
        print(
            f"{parser.prog}: {_named(error) or _unexpected(error)}",
            file=sys.stderr,
        )
        return 1
    return 0


def _named(error: Exception) -> str | None:
    """What an error that no part of clir turned into a ClirError says, where it can be said in plain words."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE):
        return str(error.strerror)
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    java = sys.modules.get("jnius")
    if java is not None and isinstance(error, java.JavaException):
        from clir.support.jvm import java_reason

        return java_reason(error)
    return None


def _unexpected(error: Exception) -> str:
    return (
        f"unexpected {type(error).__name__}: {' '.join(str(error).split())} (run again with --debug for the traceback)"
    )


def at_least_one(options: argparse.Namespace, *names: str) -> None:
    """Refuse (UsageError) a count that is given and less than 1."""
    for name in names:
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} must be at least 1, not {value}")


def use_threads(threads: int | None) -> None:
    """Bound the threads of torch's and FAISS's own loops, before either is loaded; None leaves them all."""
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)

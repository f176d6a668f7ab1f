"""Runs some hundred commands and Python calls, and says where clir does something else than the record has.

    python scripts/record.py                    # all against scripts/recording/record.jsonl; status 1 if they differ
    python scripts/record.py --only 'search/*'  # some, and the cases that they need
    python scripts/record.py --update           # after a change that is meant: write the record anew, and read its diff

The record is for changes that shall change nothing: it is made before code moves, and shows no difference after. Cases
are the commands of `scripts/recording/commands.yaml` and the functions of `calls.py` and `model_calls.py` beside it,
over the demo and files that are made on the spot; what is kept of each says `scripts/recording/keeping.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fnmatch
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
FOLDER = CHECKOUT / "scripts" / "recording"
RECORD = FOLDER / "record.jsonl"
# What another processor may change: training adds up the last digits of floats over its steps, bfloat16 and int8 round
# to the other side, clusters of an approximate index have other borders. The first pattern counts.
TOLERANCES = {"compare/*": 5e-2, "train/*": 2e-3, "student/*": 2e-3, "python/distilling": 2e-3, "encode/bf16": 5e-2,
              "*/*-ivf": 5e-2, "encode/ivf": 3e-1, "*int8": 2e-2, "search/late*": 1e-3, "*": 2e-4}  # fmt: skip
# Here fingerprints of models and of their pairs hang on those digits too.
TRAINED = ("train", "student", "compare")
HELP = "help"
WIDEST = 76


@dataclasses.dataclass(frozen=True)
class Case:
    """A command (`argv`, behind `clir`) or, where that is empty, a Python call.

    `needs` are the cases whose output it reads; `alone`: as a process of its own.
    """

    name: str
    argv: tuple[str, ...]
    needs: tuple[str, ...]
    alone: bool = False

    @property
    def group(self) -> str:
        """The first part of the name."""
        return self.name.split("/")[0]

    @property
    def outputs(self) -> list[str]:
        """The paths that the command is told to write."""
        named = zip(self.argv, self.argv[1:], strict=False)
        return [value for option, value in named if option in ("--output", "--csv", "--latex", "--report", "--dropped")]


def cases() -> list[Case]:
    """All cases, each behind those that it needs."""
    import yaml
    from recording import calls, model_calls  # noqa: F401, each puts its functions into CALLS
    from recording.calling import CALLS

    found: list[Case] = []
    written = yaml.safe_load((FOLDER / "commands.yaml").read_text("utf-8"))
    for group, commands in written.items():
        for name, line in commands.items():
            words = shlex.split(line)
            # `alone` before a command: as a process.
            argv = tuple(words[words[0] == "alone" :])
            needs = tuple(one.name for one in found if any(_reads(argv, path) for path in one.outputs))
            found.append(Case(f"{group}/{name}", argv, needs, words[0] == "alone"))
    known = {case.name for case in found}
    for name, (_, needs) in CALLS.items():
        if not known.issuperset(needs):
            raise SystemExit(f"{name} needs a case that is not there: {needs}")
        found.append(Case(name, (), needs))
    return found


def _reads(argv: Sequence[str], path: str) -> bool:
    """Whether a command names an earlier output, or a path inside it."""
    return any(re.search(rf"(^|[:=,+]){re.escape(path)}($|[/,:+])", word) for word in argv)


def chosen(everything: Sequence[Case], patterns: Sequence[str]) -> tuple[list[Case], set[str]]:
    """The cases to run in order, and the names of those that were asked for."""
    asked = {case.name for case in everything if any(fnmatch.fnmatch(case.name, pattern) for pattern in patterns)}
    wanted = set(asked)
    for case in reversed(everything):
        if case.name in wanted:
            wanted |= set(case.needs)
    return [case for case in everything if case.name in wanted], asked


def run_here(argv: Sequence[str]) -> tuple[int, str, str]:
    """A command in this process: status, stdout, stderr."""
    from clir.__main__ import main

    before, out, err = sys.argv, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(list(argv))
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        finally:
            sys.argv = before
    return status, out.getvalue(), err.getvalue()


def run_alone(argv: Sequence[str]) -> tuple[int, str, str]:
    """A command as a process: status, stdout, stderr."""
    done = subprocess.run([sys.executable, "-m", "clir", *argv], capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout, done.stderr


def entry(case: Case, work: Path) -> dict[str, Any]:
    """What is kept of a case, run now."""
    from recording import keeping
    from recording.calling import CALLS

    places = {f"{work}/": "", str(work): "WORK", f"{CHECKOUT}/": "", str(CHECKOUT): "CHECKOUT"}
    clean = keeping.Cleaner(places, hidden=case.group in TRAINED)
    if not case.argv:
        err = io.StringIO()
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
            try:
                value = CALLS[case.name][0]()
            except Exception:
                value = {"raised": traceback.format_exc().splitlines()[-1]}
        return {"case": case.name, "value": clean.value(value), "stderr": clean.lines(err.getvalue())}
    status, out, err_text = (run_alone if case.alone else run_here)(case.argv)
    kept = {"case": case.name, "command": shlex.join(case.argv), "status": status}
    if case.group == HELP:
        return {**kept, "options": sorted(set(re.findall(r"(?<![\w-])--[A-Za-z][\w.-]*", out)))}
    kept |= {"stdout": clean.lines(out), "stderr": clean.lines(err_text)}
    outputs = {
        path: keeping.output(work / path, clean) for path in case.outputs if status == 0 or (work / path).exists()
    }
    return kept | ({"outputs": outputs} if outputs else {})


def record_of(work: Path, patterns: Sequence[str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The entries of the cases that `patterns` choose, and the names of all cases."""
    from recording.fixtures import make

    make(work)
    everything = cases()
    running, asked = chosen(everything, patterns)
    if not asked:
        raise SystemExit(f"record.py: no case has a name like {' or '.join(patterns)}")
    found: dict[str, dict[str, Any]] = {}
    for number, case in enumerate(running, start=1):
        began = time.monotonic()
        made = entry(case, work)
        if case.name in asked:
            found[case.name] = made
        print(f"{number} of {len(running)}: {case.name}, {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    return found, [case.name for case in everything]


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The entries of a record, by the name of their case."""
    entries = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    return {one["case"]: one for one in entries}


def write(path: Path, entries: Mapping[str, dict[str, Any]]) -> None:
    """A record: a line a case, in the order of names."""
    lines = [json.dumps(entries[name], ensure_ascii=False) for name in sorted(entries)]
    path.write_text("".join(line + "\n" for line in lines), "utf-8")


def compared(recorded: Mapping[str, dict[str, Any]], now: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """A row for each difference: case, place, recorded, now."""
    from recording.keeping import differences

    for name in sorted({*recorded, *now}):
        if name not in recorded or name not in now:
            yield (
                name,
                "",
                "in the record" if name in recorded else "(no such case)",
                "run" if name in now else "(gone)",
            )
            continue
        tolerance = next(value for pattern, value in TOLERANCES.items() if fnmatch.fnmatch(name, pattern))
        for place, before, after in differences(recorded[name], now[name], tolerance):
            yield name, place, str(before), str(after)


def show(rows: Sequence[Sequence[str]]) -> None:
    """The differences, readable."""
    for name, place, before, after in rows:
        print(f"{name}  {place}")
        for sign, text in (("-", before), ("+", after)):
            print(f"  {sign} {text if len(text) <= 2 * WIDEST else text[: 2 * WIDEST] + '...'}")


@contextlib.contextmanager
def apart(work: Path) -> Iterator[None]:
    """Inside `work`, with caches and data of its own, one thread and no network."""
    own = {"CLIR_CACHE": f"{work}/cache", "CLIR_DATA": f"{work}/data", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1",
           "COLUMNS": "100", "PYTHONPATH": os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")]),
           "IR_DATASETS_HOME": f"{work}/irds"}  # fmt: skip
    os.environ.update(own)
    sys.path[:0] = [str(CHECKOUT)]
    with contextlib.chdir(work):
        yield


def main() -> int:
    """Run the cases; 0 if they are as recorded, 1 if not."""
    first, rest = str(__doc__).split("\n", 1)
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--only", metavar="PATTERN", nargs="+", default=["*"], help="cases, as 'search/*' (default: all)"
    )
    parser.add_argument("--update", action="store_true", help="write the record instead of comparing with it")
    parser.add_argument("--record", type=Path, default=RECORD, help="the record (default: %(default)s)")
    parser.add_argument("--work", type=Path, help="a new folder to work in, which is kept (default: a temporary one)")
    options = parser.parse_args()
    began = time.monotonic()
    record = options.record.resolve()
    with tempfile.TemporaryDirectory(prefix="record-") as temporary:
        work = (options.work or Path(temporary) / "work").resolve()
        work.mkdir(parents=True)
        with apart(work):
            now, names = record_of(work, options.only)
    recorded = read(record)
    whole = options.only == ["*"]
    rows = list(compared({name: kept for name, kept in recorded.items() if whole or name in now}, now))
    show(rows)
    cases_said = f"{len(now)} cases in {time.monotonic() - began:.0f} s"
    print(f"{cases_said}: {len(rows)} differences in {len({row[0] for row in rows})} cases")
    if options.update:
        write(record, {name: kept for name, kept in {**recorded, **now}.items() if name in names})
        print(f"{record}: {record.stat().st_size:,} bytes")
        return 0
    return 1 if rows else 0


if __name__ == "__main__":
    raise SystemExit(main())

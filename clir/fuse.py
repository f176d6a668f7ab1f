"""The door `python -m clir.fuse`: several TREC runs in, one fused run out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clir.support.command import Parser, run_door

EXAMPLES = """
python -m clir.fuse --runs bm25.run dense.run --method rrf --output fused.run
python -m clir.fuse --runs bm25.run dense.run --method weighted --weights .3 .7 --output fused.run
python -m clir.fuse --runs a.run b.run c.run --method rrf --rrf.k 20 --depth 100 --hits 100 --output fused.run
"""
DESCRIPTION = """Fuse two or more TREC runs into one.

rrf       sum over runs of 1 / (k + rank) (Cormack, Clarke and Buettcher 2009)
weighted  sum over runs of weight x normalised score; a document that a run lacks gets 0 from it"""


def parser() -> Parser:
    """The options of this door."""
    parser = Parser("fuse", DESCRIPTION, EXAMPLES)
    parser.add_argument("--runs", nargs="+", required=True, metavar="RUN", help="TREC run files, two or more")
    parser.add_argument("--method", required=True, help="rrf or weighted")
    parser.add_argument("--output", required=True, metavar="RUN", help="TREC run file to write (.gz: compressed)")
    parser.add_argument("--rrf.k", dest="rrf_k", type=float, metavar="K", help="the k of rrf (default: 60)")
    parser.add_argument(
        "--weights", nargs="+", type=float, metavar="W", help="one weight for each run (default: equal ones)"
    )
    parser.add_argument("--normalization", help="minmax, within each topic, or none; for weighted (default: minmax)")
    parser.add_argument("--depth", type=int, metavar="D", help="use only the best D hits a topic of each run")
    parser.add_argument("--hits", type=int, default=1000, metavar="K", help="hits a topic to write (default: 1000)")
    parser.add_argument("--runtag", metavar="TAG", help="tag of the fused run (default: clir-METHOD)")
    return parser


def work(options: argparse.Namespace) -> None:
    """Check what was asked, then read, fuse and write."""
    from clir.runs.fusion import check, fuse
    from clir.runs.run import check_tag
    from clir.runs.trec import read_run, write_run
    from clir.support.manifest import checksums, manifest_beside
    from clir.support.progress import say

    parameters = _parameters(options)
    check(len(options.runs), options.method, **parameters)
    if options.runtag is not None:
        check_tag(options.runtag)
    _check_paths(options.runs, options.output)
    runs = [read_run(path) for path in options.runs]
    fused = fuse(runs, options.method, tag=options.runtag, **parameters)
    with manifest_beside(
        options.output,
        method={"fusion": {"method": options.method, **parameters}, "tag": fused.tag},
        data=checksums({f"run {i}": path for i, path in enumerate(options.runs, start=1)}),
    ):
        write_run(fused, options.output)
    say(f"{options.output}: {len(fused):,} hits for {len(fused.topics):,} topics")


def _parameters(options: argparse.Namespace) -> dict[str, Any]:
    """The parameters of the method; UsageError for one that it would not use."""
    from clir.runs.fusion import BY_SCORE, METHODS
    from clir.support.errors import UsageError, unknown

    if options.method not in METHODS:
        raise unknown("fusion method", options.method, list(METHODS))
    if options.method in BY_SCORE:
        if options.rrf_k is not None:
            raise UsageError(f"--rrf.k means nothing to method {options.method}")
        own: dict[str, Any] = {"weights": options.weights, "normalization": options.normalization or "minmax"}
    else:
        for option, value in (("--weights", options.weights), ("--normalization", options.normalization)):
            if value is not None:
                raise UsageError(f"{option} means nothing to method {options.method}")
        own = {"rrf_k": 60.0 if options.rrf_k is None else options.rrf_k}
    return {**own, "depth": options.depth, "hits": options.hits}


def _check_paths(runs: Sequence[str], output: str) -> None:
    from clir.support.errors import UsageError
    from clir.support.files import existing

    resolved = [existing(path, "run").resolve() for path in runs]
    if len(set(resolved)) < len(resolved):
        raise UsageError("--runs names the same file twice")
    if Path(output).resolve() in resolved:
        raise UsageError(f"--output {output} is one of the runs to fuse")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; returns the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())

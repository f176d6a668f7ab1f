"""The door `python -m clir.evaluate`: runs and qrels in, a table or JSON of measures out."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clir.support.command import Parser, run_door

if TYPE_CHECKING:
    from clir.corpora.qrels import Qrels
    from clir.evaluation.measures import Scores

EXAMPLES = """
python -m clir.evaluate --qrels demo/sw --runs bm25.run dense.run
python -m clir.evaluate --qrels qrels.txt --runs a.run --measures AP nDCG@10 "P(rel=2)@5" --per-query
python -m clir.evaluate --qrels qrels.txt --runs a.run b.run c.run --baseline a.run
python -m clir.evaluate --qrels qrels.txt --runs a.run --json > scores.json
"""
LEVEL = 0.05


def parser() -> Parser:
    """The options of this door."""
    parser = Parser(
        "evaluate",
        "Score TREC runs with any measure of ir_measures. Every judged topic counts; one that a run lacks counts 0.",
        EXAMPLES,
    )
    parser.add_argument("--qrels", required=True, help="a TREC qrels file, or the id of a collection that has qrels")
    parser.add_argument("--runs", nargs="+", required=True, metavar="RUN", help="TREC run files")
    parser.add_argument(
        "--measures",
        nargs="+",
        default=["AP", "nDCG@10", "R@100"],
        metavar="MEASURE",
        help="by ir_measures' names (default: AP nDCG@10 R@100)",
    )
    parser.add_argument("--per-query", action="store_true", help="the values of every topic, too")
    parser.add_argument("--baseline", metavar="RUN", help="mark what differs significantly from this run")
    parser.add_argument("--json", action="store_true", help="JSON on stdout instead of a table")
    parser.add_argument("--output", metavar="FILE", help="write the JSON to this file as well")
    return parser


def work(options: argparse.Namespace) -> None:
    """Read, score and show."""
    from clir.evaluation.measures import evaluate, parse
    from clir.runs.trec import read_run
    from clir.support.errors import ClirError

    measures = parse(options.measures)
    runs = _run_paths(options)
    qrels = open_qrels(options.qrels)
    scores: dict[str, Scores] = {}
    for path in runs:
        run = read_run(path)
        try:
            scores[path] = evaluate(run, qrels, measures)
        except ClirError as error:
            raise ClirError(f"{path}: {error}") from error
        _say_missing(path, qrels, run.topics)
    names = [str(measure) for measure in measures]
    if options.output:
        _write(options, scores)
    if options.json:
        import json

        print(json.dumps(_as_json(scores, options.per_query), ensure_ascii=False, indent=2))
    else:
        _show(scores, names, options.per_query, options.baseline)


def open_qrels(name: str) -> Qrels:
    """The qrels in a file or, where there is no such file, of a collection; UsageError if it is neither."""
    from clir.support.errors import UsageError

    if Path(name).is_file():
        from clir.corpora.qrels import read_qrels

        return read_qrels(name)
    from clir.corpora.registry import is_collection, open_collection

    if not is_collection(name):
        raise UsageError(f"--qrels {name}: no such file, and no collection of that name")
    qrels = open_collection(name).qrels()
    if qrels is None:
        raise UsageError(f"--qrels {name}: this collection has no qrels")
    return qrels


def _run_paths(options: argparse.Namespace) -> list[str]:
    """The runs to score, a baseline that is not among them first; UsageError if one is missing or repeated."""
    from clir.support.errors import UsageError
    from clir.support.files import existing

    seen: dict[Path, str] = {}
    for path in options.runs:
        resolved = existing(path, "run").resolve()
        if resolved in seen:
            raise UsageError(f"--runs names the same file twice: {path}")
        seen[resolved] = path
    if options.baseline is None:
        return list(options.runs)
    if options.json:
        raise UsageError("--baseline marks the table, which --json does not print")
    baseline = existing(options.baseline, "baseline run").resolve()
    # By the name that it has among the runs.
    options.baseline = seen.get(baseline, options.baseline)
    return list(options.runs) if baseline in seen else [options.baseline, *options.runs]


def _say_missing(path: str, qrels: Qrels, topics: Sequence[str]) -> None:
    from clir.support.progress import say

    missing = len(set(qrels.topics) - set(topics))
    if missing:
        say(f"{path}: {missing} of {len(qrels.topics)} judged topics are not in the run and count 0")


def _as_json(scores: Mapping[str, Scores], per_query: bool) -> dict[str, Any]:
    return {path: run.per_topic if per_query else run.average for path, run in scores.items()}


def _write(options: argparse.Namespace, scores: Mapping[str, Scores]) -> None:
    from clir.support.files import write_json
    from clir.support.manifest import checksums, manifest_beside

    files = {f"run {i}": path for i, path in enumerate(scores, start=1)}
    if Path(options.qrels).is_file():
        files["qrels"] = options.qrels
    with manifest_beside(
        options.output,
        method={"measures": options.measures, "per query": options.per_query, "qrels": options.qrels},
        data=checksums(files),
    ):
        write_json(options.output, _as_json(scores, options.per_query))


def _show(scores: Mapping[str, Scores], names: Sequence[str], per_query: bool, baseline: str | None) -> None:
    from clir.evaluation.tables import score_table, show, topic_table

    if per_query:
        show(topic_table({path: run.per_topic for path, run in scores.items()}, names))
    marks = _marks(scores, names, baseline) if baseline else {}
    averages = {path: run.average for path, run in scores.items()}
    show(score_table(averages, names, marks), _caption(len(scores), baseline))


def _marks(scores: Mapping[str, Scores], names: Sequence[str], baseline: str) -> dict[tuple[str, str], str]:
    from clir.evaluation.significance import compare
    from clir.evaluation.tables import significance_marks

    found = {}
    for name in names:
        others = {path: run.values(name) for path, run in scores.items() if path != baseline}
        for path, comparison in compare(scores[baseline].values(name), others).items():
            found[path, name] = (comparison.difference, comparison.adjusted)
    return significance_marks(found, LEVEL)


def _caption(runs: int, baseline: str | None) -> str:
    lines = ["*: best"] if runs > 1 else []
    if baseline:
        others = f"Holm over {runs - 1} run{'s' if runs > 2 else ''}"
        lines.append(f"+ -: better, worse than {baseline} (paired t test, p < {LEVEL:g}, {others})")
    return "; ".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; returns the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())

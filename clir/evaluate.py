"""The door `python -m clir.evaluate`: runs and qrels in; tables, JSON, CSV, LaTeX and a report out."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clir.support.command import Parser, run_door

if TYPE_CHECKING:
    from clir.evaluation.summary import Summary
    from clir.experiments.scoring import Scored

EXAMPLES = """
python -m clir.evaluate --qrels demo/sw --runs bm25.run dense.run
python -m clir.evaluate --qrels qrels.txt --runs a.run --measures AP nDCG@10 "P(rel=2)@5" --per-query
python -m clir.evaluate --qrels qrels.txt --runs a.run b.run c.run --baseline a.run --test randomisation
python -m clir.evaluate --qrels demo/sw --runs a.run b.run --baseline a.run --report report.html --latex table.tex
python -m clir.evaluate --reproduce docs/reproductions/demo.yaml
python -m clir.evaluate --qrels lareqa --runs lareqa.run --measures mAP@20 --topic-languages "_([a-z]+)$" \\
    --document-languages "^([a-z]+)_"
"""
MEASURES = ["AP", "nDCG@10", "R@100"]
# What a manifest says of the numbers.
RULES = "trec_eval 9: scores compared as float32, then docid, descending"
# How differences are tested: the options, and the fields of the criterion that they are.
CRITERION = ("test", "correction", "level")


def parser() -> Parser:
    """The options of this door."""
    parser = Parser(
        "evaluate",
        "Score runs with any measure of ir_measures. Every judged topic counts; one without hits in the run counts 0.",
        EXAMPLES,
    )
    parser.add_argument("--qrels", help="the judgements: a file (TREC, BEIR, JSON), or the id of a collection")
    parser.add_argument("--runs", nargs="+", metavar="RUN", help="run files (TREC, MS MARCO, JSON)")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="names of the runs in tables (default: their paths)")
    parser.add_argument(
        "--measures", nargs="+", default=MEASURES, metavar="MEASURE",
        help=f"names as in ir_measures (default: {' '.join(MEASURES)})",
    )  # fmt: skip
    parser.add_argument(
        "--gains", nargs="+", metavar="G", help="replace each grade by a gain: a name (neuclir), or 1=1 2=3 ..."
    )
    parser.add_argument("--judged-only", action="store_true", help="remove unjudged hits before scoring")
    parser.add_argument(
        "--describe", action="store_true", help="print each run's size, ties, missing topics and unjudged hits"
    )
    parser.add_argument("--per-query", action="store_true", help="print the values of every topic, too")

    tests = parser.add_argument_group("comparing runs")
    tests.add_argument(
        "--baseline", metavar="RUN", help="test every run against this one; + and - mark significant differences"
    )
    tests.add_argument(
        "--oracle",
        metavar="RUN",
        help="a best possible run: print (run - baseline) / (oracle - baseline) of each run, in %%",
    )
    tests.add_argument("--all-pairs", action="store_true", help="test every pair of runs, by the first measure")
    tests.add_argument("--test", metavar="t|wilcoxon|randomisation|bootstrap", help="significance test (default: t)")
    tests.add_argument("--correction", metavar="holm|bonferroni|bh|none", help="for several tests (default: holm)")
    tests.add_argument("--level", type=float, help="significance level (default: .05)")

    languages = parser.add_argument_group("several languages")
    tags = "language of each topic: a file of id, tab, code; or a regular expression that finds the code in an id"
    languages.add_argument("--topic-languages", metavar="FILE|PATTERN", help=tags)
    languages.add_argument(
        "--document-languages",
        metavar="FILE|PATTERN|INDEX",
        help="the same for documents; or an index that keeps languages",
    )

    again = parser.add_argument_group("reproducing results")
    again.add_argument(
        "--reproduce", metavar="FILE", help="run the commands of this file of results and compare the scores"
    )
    again.add_argument("--only", nargs="+", default=[], metavar="STEP", help="run only these steps of it")

    out = parser.add_argument_group("output")
    out.add_argument("--json", action="store_true", help="print JSON instead of tables")
    out.add_argument("--output", metavar="FILE", help="also write the JSON to this file")
    out.add_argument("--csv", metavar="FILE", help="write a line for every run and measure, with intervals and tests")
    out.add_argument("--latex", metavar="FILE", help="write the table as LaTeX (booktabs)")
    out.add_argument("--report", metavar="FILE", help="write one HTML page: scores, topics, passages, plots")
    out.add_argument("--topics", metavar="FILE|ID", help="the topics' texts, for the report (default: --qrels' own)")
    out.add_argument("--corpus", metavar="FILE|ID", help="the passages, for the report (default: --qrels' own)")
    return parser


def work(options: argparse.Namespace) -> None:
    """Read, score and show."""
    from clir.evaluation.summary import Criterion, summarise
    from clir.experiments.scoring import score

    if options.reproduce:
        check_reproduction(options)
        return reproduce(options)
    check(options)
    scored = score(
        options.runs, options.qrels, options.measures, names=options.names, baseline=options.baseline,
        oracle=options.oracle, gains=options.gains, judged_only=options.judged_only,
        topic_languages=options.topic_languages, document_languages=options.document_languages,
    )  # fmt: skip
    criterion = Criterion(**{name: value for name in CRITERION if (value := getattr(options, name)) is not None})
    summary = summarise(scored.scores, scored.measures, scored.baseline, criterion)
    write(options, scored, summary)
    if options.json:
        import json

        print(json.dumps(as_json(scored, options.per_query), ensure_ascii=False, indent=2))
    else:
        show(options, scored, summary)


def check(options: argparse.Namespace) -> None:
    """Refuse what does not go together, before anything is read."""
    from clir.evaluation.corrections import correction
    from clir.evaluation.significance import significance_test
    from clir.support.errors import UsageError

    missing = [f"--{name}" for name in ("qrels", "runs") if not getattr(options, name)]
    if missing:
        raise UsageError(f"give {' and '.join(missing)} (or --reproduce)")
    if options.only:
        raise UsageError("--only chooses steps of --reproduce FILE: add it")
    given = [name for name in CRITERION if getattr(options, name) is not None]
    if given and not (options.baseline or options.all_pairs):
        raise UsageError(f"{_option(given[0])} needs --baseline or --all-pairs: it is about tests between runs")
    if "test" in given:
        significance_test(options.test)
    if "correction" in given:
        correction(options.correction)
    if "level" in given and not 0 < options.level < 1:
        raise UsageError(f"--level is a probability between 0 and 1, not {options.level}")
    if options.json:
        _check_shown(options)
    if options.oracle and not options.baseline:
        raise UsageError("--oracle needs --baseline RUN: scores are placed between the two runs")
    if options.topic_languages and not options.document_languages:
        raise UsageError("--topic-languages needs --document-languages, too")
    if not options.report:
        for name in ("topics", "corpus"):
            if getattr(options, name):
                raise UsageError(f"--{name} is only used in the report: add --report FILE, or leave it out")
    _check_outputs(options)


def check_reproduction(options: argparse.Namespace) -> None:
    """Refuse what --reproduce would not look at: its file says what is run and scored."""
    from clir.support.errors import UsageError

    taken = ("reproduce", "only", "json", "debug")
    plain = parser()
    given = [name for name, value in vars(options).items() if name not in taken and value != plain.get_default(name)]
    if given:
        raise UsageError(
            "--reproduce can be combined with --only and --json, nothing else: leave out "
            f"{', '.join(map(_option, given))}"
        )


def _check_shown(options: argparse.Namespace) -> None:
    """Refuse what would be computed for tables that --json does not print, and that no file shows."""
    from clir.support.errors import UsageError

    # What each option's numbers stand in beside the tables.
    files = {"baseline": ("csv", "latex", "report"), "oracle": (), "all_pairs": (), "describe": (),
             "document_languages": ("report",)}  # fmt: skip
    for name, shown in files.items():
        if getattr(options, name) and not any(getattr(options, file) for file in shown):
            advice = f": add {' or '.join(map(_option, shown))}" if shown else ""
            raise UsageError(f"{_option(name)} is shown in tables alone, which --json does not print{advice}")


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuse outputs that cannot be written, that are read as well, or that are one file."""
    from pathlib import Path

    from clir.support.errors import UsageError
    from clir.support.files import check_output

    read = ("qrels", "baseline", "oracle", "topics", "corpus", "topic_languages", "document_languages")
    inputs = [*options.runs, *(getattr(options, name) for name in read)]
    written: dict[Path, str] = {}
    for name in ("output", "csv", "latex", "report"):
        if path := getattr(options, name):
            check_output(path, inputs, f"--{name}")
            if earlier := written.get(Path(path).resolve()):
                raise UsageError(f"{earlier} and --{name} name the same file, {path}: give each its own")
            written[Path(path).resolve()] = f"--{name}"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def reproduce(options: argparse.Namespace) -> None:
    """Run the commands of a file of results, and show each score beside the one expected; ClirError if one is off."""
    from clir.evaluation.tables import plain_table, show
    from clir.experiments.reproduction import OFF, reproduce
    from clir.support.errors import ClirError

    outcomes = list(reproduce(options.reproduce, options.only))
    lines = [
        {"step": one.step, "run": one.run, "measure": one.measure, "expected": one.expected, "found": one.found,
         "tolerance": f"{one.tolerance:g}", "verdict": one.verdict}
        for one in outcomes
    ]  # fmt: skip
    if options.json:
        import json

        print(json.dumps(lines, ensure_ascii=False, indent=2))
    elif lines:
        show(plain_table(lines))
    off = sum(one.verdict == OFF for one in outcomes)
    if off:
        raise ClirError(f"{off} of {len(outcomes)} scores differ from the expected ones by more than their tolerance")


def show(options: argparse.Namespace, scored: Scored, summary: Summary) -> None:
    """The tables on stdout."""
    from clir.evaluation.tables import (
        gap_table,
        matrix_table,
        pairs_table,
        plain_table,
        show,
        summary_table,
        topic_table,
    )

    names = list(summary.measures)
    if options.describe:
        from clir.runs.description import describe

        for label, found in scored.whole.items():
            print(label, *describe(found, scored.qrels).lines(), sep="\n  ")
    if options.per_query:
        show(topic_table({run: scores.per_topic for run, scores in scored.scores.items()}, names))
    show(summary_table(summary), summary.caption)
    if scored.oracle:
        show(gap_table(scored.scores, names, summary.baseline or "", scored.oracle))
    if options.all_pairs:
        from clir.evaluation.summary import pairs_frame

        tests = len(scored.scores) * (len(scored.scores) - 1) // 2
        frame = pairs_frame(scored.scores, names[0], summary.criterion)
        show(pairs_table(frame), f"{names[0]}; {summary.criterion.said(tests)}")
    for run, matrix in scored.matrices.items():
        show(matrix_table(matrix, run))
    if scored.fairness:
        show(plain_table(scored.fairness))


def write(options: argparse.Namespace, scored: Scored, summary: Summary) -> None:
    """The files that were asked for, each with its manifest."""
    from clir.support.files import atomic_file, write_json
    from clir.support.manifest import manifest_beside

    method = {"measures": list(summary.measures), "per query": options.per_query, "qrels": options.qrels,
              "rules": RULES}  # fmt: skip
    made = {"method": method, "data": scored.checksums}
    if options.output:
        with manifest_beside(options.output, **made):
            write_json(options.output, as_json(scored, options.per_query))
    if options.csv:
        from clir.evaluation.summary import summary_frame

        with manifest_beside(options.csv, **made), atomic_file(options.csv) as handle:
            summary_frame(summary).write_csv(handle)
    if options.latex:
        from clir.evaluation.latex import summary_latex

        with manifest_beside(options.latex, **made), atomic_file(options.latex, "w") as text:
            text.write(summary_latex(summary))
    if options.report:
        from clir.evaluation.report import write_report
        from clir.experiments.scoring import evidence
        from clir.support.progress import say

        shown = evidence(scored, summary, topics=options.topics, corpus=options.corpus, qrels_name=options.qrels)
        with manifest_beside(options.report, **made):
            write_report(summary, scored.scores, shown, options.report)
        say(f"{options.report}: the report")


def as_json(scored: Scored, per_query: bool) -> Mapping[str, Any]:
    """`{run: {measure: value}}`, or with the topics between."""
    return {run: scores.per_topic if per_query else scores.average for run, scores in scored.scores.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; returns the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())

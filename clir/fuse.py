"""The door `python -m clir.fuse`: several runs in, one fused run out; parameters given, or tuned."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clir.support.command import Parser, run_door

if TYPE_CHECKING:
    from clir.evaluation.tuning import Choice, Tuned
    from clir.runs.run import Run

EXAMPLES = """
python -m clir.fuse --runs bm25.run dense.run --method rrf --output fused.run
python -m clir.fuse --runs bm25.run dense.run --method weighted --weights .3 .7 --output fused.run
python -m clir.fuse --runs a.run b.run c.run --method combmnz --normalization zscore --depth 100 --output fused.run
python -m clir.fuse --runs a.run b.run --method weighted --tune --qrels qrels.txt --measure nDCG@10 --output tuned.run
python -m clir.fuse --runs mixed.run --method combsum --document-languages indexes/mixed --normalization over-topics \\
    --output merged.run
"""
DESCRIPTION = """Fuse two or more runs into one: TREC files, MS MARCO files or JSON, compressed or not.

A document's score is the sum over runs of
rrf       1 / (k + rank) (Cormack, Clarke and Buettcher 2009)
combsum   its normalised score (Fox and Shaw 1993)
combmnz   its normalised score, times the number of runs that found it
combanz   its normalised score, over the number of runs that found it
weighted  weight x normalised score
borda     points: of c documents the first gets c, the second c - 1, ...; those not found share what is left
isr       1 / rank^2, times the number of runs that found it (Mourao et al. 2015)
logisr    1 / rank^2, times the logarithm of that number + .01

A document that a run lacks gets 0 from it, or its least normalised score (--missing minimum). A topic that a run lacks
is ranked by the other runs; where fewer than half of the topics are in all runs, a line says so.

With --document-languages the documents of each language are normalised and fused by themselves, then ordered together.
One run will do: its languages are put on one scale.

--tune chooses the parameters that are not given by cross-validation over judged topics. Every topic of the output is
fused with what was chosen on other topics, so that the run may be tested; what all topics choose is printed beside."""
TUNING: dict[str, Any] = {"qrels": None, "folds": 5, "seed": 0, "measure": "AP", "json": False}


def parser() -> Parser:
    """The options of this door."""
    parser = Parser("fuse", DESCRIPTION, EXAMPLES)
    parser.add_argument(
        "--runs",
        nargs="+",
        required=True,
        metavar="RUN",
        help="run files, two or more (or one with --document-languages)",
    )
    parser.add_argument(
        "--method", metavar="METHOD", help="rrf, combsum, combmnz, combanz, weighted, borda, isr or logisr"
    )
    parser.add_argument(
        "--output",
        required=True,
        metavar="RUN",
        help="run file to write (.gz, .zst, ...: compressed)",
    )
    parser.add_argument(
        "--output-format", metavar="FORM", help="trec, msmarco or json (default: by its name, .tsv msmarco, .json json)"
    )
    parser.add_argument("--rrf.k", dest="rrf_k", type=float, metavar="K", help="the k of rrf (default: 60)")
    parser.add_argument(
        "--weights", nargs="+", type=float, metavar="W", help="for weighted: one for each run (default: equal ones)"
    )
    parser.add_argument(
        "--normalization",
        metavar="NAME",
        help="of scores, within each topic: minmax, zscore, sum, rank or none; over-topics: a z-score over the hits of "
        "all topics (default: minmax)",
    )
    parser.add_argument(
        "--document-languages",
        metavar="FILE|PATTERN|INDEX",
        help="fuse the documents of each language by themselves, then order all: a file of docid, tab, code; a pattern "
        "that finds the code in a docid; or an index that keeps languages",
    )
    parser.add_argument(
        "--missing", metavar="RULE", help="what a run gives a document it lacks: zero, or minimum (default: zero)"
    )
    parser.add_argument("--depth", type=int, metavar="D", help="use only the best D hits a topic of each run")
    parser.add_argument("--hits", type=int, default=1000, metavar="K", help="hits a topic to write (default: 1000)")
    parser.add_argument("--runtag", metavar="TAG", help="tag of the fused run (default: clir-METHOD)")
    tuning = parser.add_argument_group("tuning")
    tuning.add_argument("--tune", action="store_true", help="tune --depth, --rrf.k or --weights, where not given")
    tuning.add_argument("--qrels", help="judgements to tune on: a TREC qrels file, or a collection's id")
    tuning.add_argument("--folds", type=int, metavar="N", help="parts of the judged topics (default: 5)")
    tuning.add_argument("--seed", type=int, metavar="N", help="how topics are dealt into folds (default: 0)")
    tuning.add_argument("--measure", metavar="MEASURE", help="what is to be best, by ir_measures' name (default: AP)")
    tuning.add_argument("--json", action="store_true", help="print scores and choices as JSON instead of a table")
    return parser


def work(options: argparse.Namespace) -> None:
    """Check what was asked, then read, fuse or tune, and write."""
    from clir.runs.forms import check_form
    from clir.runs.fusion import check
    from clir.runs.run import check_tag
    from clir.support.errors import UsageError

    parameters = _parameters(options)
    if not options.document_languages:
        check(len(options.runs), options.method, **parameters)
    check_form(options.output_format)
    if options.runtag is not None:
        check_tag(options.runtag)
    _check_paths(options)
    if options.tune:
        if options.document_languages:
            raise UsageError("--document-languages does not go with --tune")
        _tune(options, parameters)
    else:
        _fuse(options, parameters)


def _fuse(options: argparse.Namespace, parameters: dict[str, Any]) -> None:
    from clir.runs.fusion import fuse, fuse_by_language

    with ThreadPoolExecutor() as pool:
        runs = _read(pool, options.runs)
        # What is hashed was just read: the files are in memory.
        files = pool.submit(_checksums, options)
        described = {"method": options.method, **parameters}
        if options.document_languages:
            described["document languages"] = options.document_languages
            fused = fuse_by_language(runs, _languages(runs, options), options.method, tag=options.runtag, **parameters)
        else:
            fused = fuse(runs, options.method, tag=options.runtag, **parameters)
        _write(options, runs, fused, described, files.result())


def _languages(runs: Sequence[Run], options: argparse.Namespace) -> dict[str, str]:
    from itertools import chain

    from clir.indexing.document_languages import languages_of

    # In order, so that of several docids without a language the same one is named every time.
    docids = dict.fromkeys(chain.from_iterable(run.frame["docid"].to_list() for run in runs))
    return languages_of(options.document_languages, docids)


def _tune(options: argparse.Namespace, parameters: dict[str, Any]) -> None:
    from clir.corpora.given import given_qrels
    from clir.evaluation.measures import evaluate, parse
    from clir.evaluation.tuning import tune
    from clir.runs.fusion.shared_topics import topic_counts
    from clir.support.errors import UsageError

    measures = parse([options.measure])
    if len(measures) != 1:
        raise UsageError(f"--measure takes one measure, not {len(measures)}")
    qrels = given_qrels(options.qrels)
    with ThreadPoolExecutor() as pool:
        runs = _read(pool, options.runs)
    how = {"folds": options.folds, "seed": options.seed, "tag": options.runtag, **parameters}
    tuned = tune(runs, qrels, measures[0], options.method, **how)
    inputs = {path: evaluate(run, qrels, measures) for path, run in zip(options.runs, runs, strict=True)}
    means = {path: scores.average[tuned.measure] for path, scores in inputs.items()}
    found = {"seed": options.seed, **tuned.as_dict(), "inputs": means, "topics": topic_counts(runs)}
    _write(options, runs, tuned.run, {"method": options.method, **parameters, "tuning": found}, _checksums(options))
    _show(options, tuned, means, found)


def _parameters(options: argparse.Namespace) -> dict[str, Any]:
    """The parameters of the method; UsageError for an option that it, or a fusion that is not tuned, would not use."""
    from clir.runs.fusion import METHODS, READS
    from clir.support.errors import UsageError, unknown

    for name, default in TUNING.items():
        if options.tune:
            setattr(options, name, getattr(options, name) if getattr(options, name) is not None else default)
        elif getattr(options, name) not in (None, False):
            raise UsageError(f"--{name} goes with --tune")
    if options.tune and options.qrels is None:
        raise UsageError("--tune needs --qrels: the judgements to tune on")
    if options.method is None:
        if not options.tune:
            raise UsageError(f"--method is missing: one of {', '.join(METHODS)}")
        options.method = "weighted"
    if options.method not in METHODS:
        raise unknown("fusion method", options.method, list(METHODS))
    defaults = {"rrf_k": 60.0, "weights": None, "normalization": "minmax", "missing": "zero"}
    own: dict[str, Any] = {}
    for name, default in defaults.items():
        value = getattr(options, name)
        if name not in READS[options.method]:
            if value is not None:
                raise UsageError(f"--{name.replace('_', '.')} does not apply to method {options.method}")
        elif value is not None or not options.tune or name in ("normalization", "missing"):
            own[name] = default if value is None else value
    return {**own, "depth": options.depth, "hits": options.hits}


def _check_paths(options: argparse.Namespace) -> None:
    from clir.support.errors import UsageError
    from clir.support.files import check_output, existing

    resolved = [existing(path, "run").resolve() for path in options.runs]
    if len(set(resolved)) < len(resolved):
        raise UsageError("--runs names the same file twice")
    check_output(options.output, [*options.runs, options.qrels, options.document_languages])


def _read(pool: ThreadPoolExecutor, paths: Sequence[str]) -> list[Run]:
    from clir.runs.forms import read_run

    return list(pool.map(read_run, paths))


def _checksums(options: argparse.Namespace) -> dict[str, dict[str, str]]:
    from clir.support.manifest import checksums

    files = {f"run {i}": path for i, path in enumerate(options.runs, start=1)}
    if options.tune and Path(options.qrels).is_file():
        files["qrels"] = options.qrels
    return checksums(files)


def _write(
    options: argparse.Namespace, inputs: Sequence[Run], run: Run, fusion: dict[str, Any], data: dict[str, Any]
) -> None:
    from clir.runs.forms import write_run
    from clir.runs.fusion.shared_topics import few_shared, topic_counts
    from clir.support.manifest import manifest_beside
    from clir.support.progress import say

    with manifest_beside(
        options.output,
        method={"fusion": fusion, "tag": run.tag},
        data={**data, "topics": topic_counts(inputs)},
    ):
        write_run(run, options.output, options.output_format)
    if said := few_shared(options.runs, inputs):
        say(said)
    say(f"{options.output}: {len(run):,} hits for {len(run.topics):,} topics")


def _show(options: argparse.Namespace, tuned: Tuned, inputs: dict[str, float], found: dict[str, Any]) -> None:
    if options.json:
        import json

        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    from clir.evaluation.tables import score_table, show

    means = tuned.means()
    method = options.method
    rows = {
        **inputs,
        f"{method}, untuned": means["untuned"],
        f"{method}, out of fold ({options.output})": means["out of fold"],
        f"{method}, in sample": means["in sample"],
    }
    show(score_table({label: {tuned.measure: value} for label, value in rows.items()}, [tuned.measure]))
    for number, fold in enumerate(tuned.folds, start=1):
        print(f"fold {number}, {len(fold.topics)} topics: {_words(fold.choice)}")
    print(f"in sample, an upper bound and no result: {_words(tuned.best)}")


def _words(choice: Choice) -> str:
    said = [f"depth {choice.depth or 'all'}"]
    if choice.rrf_k is not None:
        said.append(f"rrf.k {choice.rrf_k:g}")
    if choice.weights is not None:
        said.append("weights " + " ".join(f"{weight:g}" for weight in choice.weights))
    return ", ".join(said)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; returns the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())

"""The door itself: what `python -m clir.search` does, from options to a run and what is printed of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clir.search.options import check_combination, parser
from clir.support.command import run_door

if TYPE_CHECKING:
    from clir.corpora.qrels import Qrels
    from clir.encoding.encoder import Encoder
    from clir.experiments.search import SearchOptions, Sides
    from clir.runs.run import Run


def work(options: argparse.Namespace) -> None:
    """Search, write the run with its manifest, print its scores."""
    from clir.evaluation.measures import check_measures, parse
    from clir.experiments.search import METHODS, check_judged, search
    from clir.runs.forms import check_form
    from clir.runs.run import check_tag
    from clir.search.given import given_encoder, given_judgements, given_settings, given_sides
    from clir.support.command import at_least_one, use_threads
    from clir.support.errors import UsageError, unknown

    if options.method not in METHODS:
        raise unknown("method", options.method, METHODS)
    at_least_one(options, "hits", "threads", "batch_size", "query_tokens", "document_tokens", "candidates", "show")
    tag = options.runtag if options.runtag is not None else f"clir-{options.method}"
    check_tag(tag)
    check_form(options.output_format)
    check_combination(options)
    measures = parse(options.measures)
    settings = given_settings(options)
    use_threads(options.threads)
    encoder = given_encoder(options)
    qrels = given_judgements(options)
    if options.json and qrels is None:
        raise UsageError("--json prints scores, which need judgements: add --qrels")
    sides = given_sides(options, encoder)
    if qrels is not None:
        check_judged(sides.topics, qrels)
        check_measures(measures, qrels)
    run = search(options.method, sides, encoder, hits=options.hits, options=settings).with_tag(tag)
    write(options, run, sides, encoder, settings)
    if options.show:
        show_hits(options, run, sides, encoder)
    if qrels is not None:
        show_scores(options, run, qrels, measures)


def write(
    options: argparse.Namespace, run: Run, sides: Sides, encoder: Encoder | None, settings: SearchOptions
) -> None:
    """The run and its manifest."""
    from clir.experiments.search import provenance
    from clir.runs.forms import write_run
    from clir.support.manifest import manifest_beside
    from clir.support.progress import say

    about: dict[str, Any] = provenance(options.method, sides, encoder, settings)
    about["data"]["source"] = sources(options)
    with manifest_beside(options.output, kind="run", tag=run.tag, hits=options.hits, **about):
        write_run(run, options.output, options.output_format)
    empty = len(sides.topics) - len(run.topics)
    without = f"; {empty} topics found nothing" if empty else ""
    say(f"{options.output}: {len(run):,} hits for {len(run.topics):,} topics{without}")


def sources(options: argparse.Namespace) -> dict[str, str]:
    """Where the topics came from, as the command line named it."""
    named = ("collection", "topics", "topics_language", "topics_source", "sparse_topics", "sparse_topics_language",
             "fields", "qrels", "translate")  # fmt: skip
    return {name.replace("_", " "): getattr(options, name) for name in named if getattr(options, name)}


def show_hits(options: argparse.Namespace, run: Run, sides: Sides, encoder: Encoder | None) -> None:
    """The best hits of every topic with their passages."""
    from clir.experiments.opened import passages_of, shown

    passages = passages_of(sides, options.corpus or options.collection)
    for text in shown(run, sides.topics, passages, options.show, encoder if options.explain else None):
        print(text)


def show_scores(options: argparse.Namespace, run: Run, qrels: Qrels, measures: Sequence[Any]) -> None:
    """The run's scores, as a table or JSON."""
    from clir.evaluation.measures import evaluate
    from clir.evaluation.tables import score_table, show

    average = evaluate(run, qrels, measures).average
    if options.json:
        import json

        print(json.dumps({options.output: average}, indent=2))
    else:
        show(score_table({options.output: average}, list(average)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; returns the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())

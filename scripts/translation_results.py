"""Query translation on AfriQA: what a dictionary, a translation table and structured queries are worth to BM25.

    python scripts/translation_results.py dev  --bitext DIR --dictionary swh-eng.tei
    python scripts/translation_results.py test --bitext DIR --dictionary swh-eng.tei

DIR holds the bitext folders mafand, gamayun and tico19 in their upstream layout, the dictionary is FreeDict's
(there is none for Hausa); the collections come from $CLIR_DATA (`python -m clir.fetch afriqa ntrex`). `dev` shows
what the defaults were chosen by: tables on AfriQA's Hausa dev questions, dictionaries on NTREX's Swahili dev topics.
`test` runs the defaults on the test questions. Pairs with anything of what is searched are removed from the bitext;
learned tables are kept in clir's cache.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from marked_table import print_table

from clir.corpora.bitext import Pair
from clir.corpora.collection import Collection
from clir.corpora.registry import open_collection
from clir.evaluation.measures import evaluate
from clir.experiments.indexes import sparse_index
from clir.experiments.training_data import training_pairs
from clir.retrieval.bm25 import BM25Searcher
from clir.retrieval.psq import Cutoffs, PSQSearcher, StructuredQueries
from clir.retrieval.translation.spec import TranslationOptions, make_translator
from clir.retrieval.translation.table import learn_table
from clir.runs.run import Run
from clir.runs.trec import write_run
from clir.support.errors import ClirError
from clir.support.files import write_json
from clir.support.manifest import write_manifest
from clir.support.progress import say

TEST = {"sw": "afriqa/sw/test", "ha": "afriqa/ha/test"}
DEV, DEV_DICTIONARY = "afriqa/ha/dev", "ntrex-heldout/sw/dev"
MEASURES = ("AP", "nDCG@10", "R@100")
HITS = 1000
CUMULATIVE = (0.3, 0.5, 0.7, 0.9, 0.95, 0.99)
KIT = "gamayun/{pair}/en-kit{size}k-v1/gamayun_kit{size}k-v1_eng-hau_ENG.txt,gamayun/{pair}/en-kit{size}k-v1/{side}.txt"
# The bitext that scripts/first_results.py teaches its students from; and, for Hausa, all of Gamayun.
BITEXT = {
    "sw": ["mafand/en-swa/train.en,mafand/en-swa/train.swa", "tico19/all.en-sw.tmx",
           KIT.format(pair="swa-eng", size=5, side="gamayun_kit5k-v1_eng-swa_SWA")],
    "ha": ["mafand/en-hau/train.en,mafand/en-hau/train.hau", "tico19/all.en-ha.tmx",
           KIT.format(pair="hau-eng", size=5, side="gamayun_kit5k-v1_eng-hau_HAU")],
}  # fmt: skip
MORE = {"ha": [KIT.format(pair="hau-eng", size=n, side=f"gamayun_kit{n}k-v1_eng-hau_HAU") for n in (10, 15)]}

Scores = dict[str, dict[str, float]]
"""Every topic's measures."""


def main() -> int:
    """Run the stage that the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["dev", "test"])
    parser.add_argument("--bitext", type=Path, required=True, help="folder of the bitext folders")
    parser.add_argument("--dictionary", type=Path, required=True, help="FreeDict's swh-eng.tei")
    parser.add_argument("--output", type=Path, default=Path("runs/translation"))
    options = parser.parse_args()
    try:
        {"dev": dev, "test": test}[options.stage](options)
    except ClirError as error:
        say(str(error))
        return error.exit_status
    return 0


def dev(options: argparse.Namespace) -> None:
    """Score one-best and structured queries over both kinds of tables, and both ways with a dictionary's senses."""
    collection = open_collection(DEV)
    for more in (False, True):
        pairs = pairs_of("ha", more, options.bitext)
        for symmetric in (False, True):
            table = learn_table(pairs, symmetric=symmetric)
            for cumulative in CUMULATIVE:
                searcher = PSQSearcher(sparse_index(collection), table, cutoffs=Cutoffs(cumulative))
                name = f"PSQ, {len(pairs):,} pairs, {'symmetric' if symmetric else 'one direction'}, {cumulative}"
                print_row(name, score(collection, searcher.search(collection.topics(), HITS)))
    collection = open_collection(DEV_DICTIONARY)
    for senses in ("first", "all"):
        chosen = TranslationOptions(senses=senses)
        run = run_of(collection, f"dictionary:{options.dictionary}", "sw", options, chosen)
        print_row(f"dictionary, {senses} senses", score(collection, run))


def test(options: argparse.Namespace) -> None:
    """Run every kind of translation on the test topics, and compare each with native BM25."""
    found: dict[str, dict[str, Scores]] = {}
    for language, name in TEST.items():
        collection = open_collection(name)
        found[name] = {}
        for system, run in systems(collection, language, options).items():
            path = options.output / name.replace("/", "-") / f"{system.replace(',', '').replace(' ', '-')}.run"
            write_run(run, path)
            write_manifest(path, kind="run", tag=run.tag, data={"collection": name}, method={"translation": system})
            found[name][system] = score(collection, run)
        print_table(name, {system: columns(scores) for system, scores in found[name].items()}, "native")
    write_json(options.output / "test.json", found)


def systems(collection: Collection, language: str, options: argparse.Namespace) -> dict[str, Run]:
    """Every system's run, by its name in the table."""
    bitext = "+".join(rooted(spec, options.bitext) for spec in BITEXT[language])
    specs = {"one-best table": f"table:{bitext}", "PSQ": f"psq:{bitext}"}
    if language == "sw":
        specs = {"dictionary": f"dictionary:{options.dictionary}", **specs}
    if language in MORE:
        whole = "+".join([bitext, *(rooted(spec, options.bitext) for spec in MORE[language])])
        specs |= {"one-best table, more bitext": f"table:{whole}", "PSQ, more bitext": f"psq:{whole}"}
    runs = {"native": BM25Searcher(sparse_index(collection)).search(collection.topics(), HITS)}
    for system, spec in {**specs, "human": "human"}.items():
        runs[system] = run_of(collection, spec, language, options)
    return runs


def run_of(
    collection: Collection, spec: str, language: str, options: argparse.Namespace,
    chosen: TranslationOptions | None = None,
) -> Run:  # fmt: skip
    """BM25's run of the collection's topics, translated as `spec` says."""
    translator = make_translator(spec, language, "en", collection=collection, options=chosen, read_pairs=held_out_pairs)
    index = sparse_index(collection)
    if isinstance(translator, StructuredQueries):
        return translator.searcher(index).search(collection.topics(), HITS)
    return BM25Searcher(index).search(translator(collection.topics()), HITS)


def pairs_of(language: str, more: bool, bitext: Path) -> list[Pair]:
    """A language's cleaned pairs without anything that is searched here."""
    specs = [rooted(spec, bitext) for spec in [*BITEXT[language], *(MORE[language] if more else [])]]
    return held_out_pairs(specs, language)


@functools.cache
def _held_out_pairs(specs: tuple[str, ...], language: str) -> list[Pair]:
    pairs, reports = training_pairs(specs, [language], held_out=(DEV, DEV_DICTIONARY, *TEST.values()))
    dropped = {step: dict(report) for step, report in reports.items()}
    say(f"{language}: {len(pairs):,} pairs ({dropped})")
    return pairs


def held_out_pairs(specs: Sequence[str], language: str) -> list[Pair]:
    """The pairs of bitext, cleaned, without anything that is searched here."""
    return _held_out_pairs(tuple(specs), language)


def rooted(spec: str, folder: Path) -> str:
    """The spec with `folder` before each of its paths."""
    return ",".join(str(folder / part) for part in spec.split(","))


def score(collection: Collection, run: Run) -> Scores:
    """Every topic's measures."""
    qrels = collection.qrels()
    if qrels is None:
        raise ClirError(f"{collection.id} has no qrels")
    return evaluate(run, qrels, MEASURES).per_topic


def average(scores: Scores, measure: str) -> float:
    """Mean over topics."""
    return float(np.mean([topic[measure] for topic in scores.values()]))


def print_row(name: str, scores: Scores) -> None:
    """A line of a Markdown table."""
    print(f"| {name} | {' | '.join(f'{average(scores, measure):.3f}' for measure in MEASURES)} |", flush=True)


def columns(scores: Scores) -> dict[str, dict[str, float]]:
    """Every topic's score, by measure."""
    return {measure: {qid: one[measure] for qid, one in scores.items()} for measure in MEASURES}


if __name__ == "__main__":
    raise SystemExit(main())

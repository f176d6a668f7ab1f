"""XTREME-R's retrieval tasks for the students of a comparison: Tatoeba both ways, and LAReQA, as transfer.

    python scripts/transfer_results.py runs/compare-languages

The collections come from $CLIR_DATA (`python -m clir.fetch tatoeba lareqa`). Students read both sides
(`--documents-by student`). The comparison's own collections are not these, so its bitext may hold sentences of
Tatoeba: a topic with a side that is, or nearly is, in the pairs that a student was taught is left out for all.
No language of LAReQA is among those of the bitext.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from marked_table import print_table

from clir.corpora.bitext import Pair
from clir.corpora.collection import Collection
from clir.corpora.lareqa import LANGUAGES
from clir.corpora.leakage import TestTexts
from clir.corpora.registry import open_collection
from clir.distillation.lesson import chosen_pairs
from clir.distillation.recipe import parse_recipe
from clir.encoding.encoder import Encoder, Vectors, load_encoder
from clir.evaluation.measures import evaluate
from clir.experiments.comparison.bitext import KEPT, read_kept
from clir.experiments.indexes import dense_index
from clir.experiments.search import SearchOptions, collection_sides, search
from clir.retrieval.dense import DenseSearcher
from clir.runs.run import Run
from clir.runs.trec import write_run
from clir.support.errors import ClirError, UsageError
from clir.support.files import write_json
from clir.support.manifest import read_manifest
from clir.support.progress import say, track

TATOEBA = ("tatoeba/sw", "tatoeba/en-sw", "tatoeba/fil", "tatoeba/en-fil", "tatoeba/mr", "tatoeba/en-mr")
VIEWS = ("lareqa", "X-X", "X-Y")
TASKS = {"tatoeba": "Tatoeba, accuracy", "lareqa": "LAReQA, mAP@20"}
UNDISTILLED = "undistilled"
HITS = 20
BLOCK = 1024

Scores = dict[str, float]
"""Every topic's score."""


def main() -> int:
    """Search with every student that is there; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparison", type=Path, help="the --output of clir.compare")
    parser.add_argument("--students", nargs="+", default=["*"], metavar="GLOB", help="of its students (default: all)")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), help="(default: both)")
    parser.add_argument("--output", type=Path, default=Path("runs/transfer"))
    options = parser.parse_args()
    try:
        transfer(options.comparison, options.students, options.tasks, options.output)
    except ClirError as error:
        say(str(error))
        return error.exit_status
    return 0


def transfer(comparison: Path, students: Sequence[str], tasks: Sequence[str], output: Path) -> None:
    """Score undistilled model and students on the tasks, and print a table of each."""
    folders = sorted({path for glob in students for path in (comparison / "students").glob(glob) if path.is_dir()})
    if not folders:
        raise UsageError(f"no student of {comparison} is called so")
    made = {folder.name: read_manifest(folder) for folder in folders}
    start = next(iter(made.values()))["recipe"]["student"]
    seen = Taught(taught(comparison, list(made.values())))
    found: dict[str, dict[str, dict[str, Scores]]] = {task: {} for task in tasks}
    for name, model in {UNDISTILLED: start, **{folder.name: str(folder) for folder in folders}}.items():
        encoder = load_encoder(model, documents_by="student")
        for task, systems in found.items():
            if task == "tatoeba":
                systems[name] = {pair: accuracy(open_collection(pair), encoder, seen) for pair in TATOEBA}
            else:
                systems[name] = dict(zip(VIEWS, answers(encoder, output / f"{name}.lareqa.run"), strict=True))
            print_row(name, systems[name])
    for task, systems in found.items():
        print_table(TASKS[task], systems, UNDISTILLED)
        write_json(output / f"{task}.json", systems)


def taught(comparison: Path, manifests: Sequence[dict[str, object]]) -> list[Pair]:
    """All pairs that any of the students was taught."""
    kept = read_kept(comparison / KEPT)
    recipes = [parse_recipe(made["recipe"], "manifest") for made in manifests]  # type: ignore[arg-type]
    return list(dict.fromkeys(pair for recipe in recipes for pair in chosen_pairs(kept, recipe)))


class Taught:
    """Pairs that students were taught, and what to find their sides with."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = pairs
        self.texts = TestTexts(side for pair in pairs for side in (pair.english, pair.foreign))

    def holds(self, aligned: Sequence[Pair]) -> list[bool]:
        """Of each pair of a test, whether a side of it was taught, nearly, or inside a longer sentence."""
        sides = {side for pair in aligned for side in (pair.english, pair.foreign)}
        # Containment has a direction: what is in a taught sentence is found by looking for it there.
        longer = [pair for pair, leak in zip(self.pairs, TestTexts(sides).leaks(self.pairs), strict=True) if leak]
        return [
            bool(leak) or any(TestTexts([pair.english, pair.foreign]).leaks(longer))
            for pair, leak in zip(aligned, self.texts.leaks(aligned), strict=True)
        ]


def accuracy(collection: Collection, encoder: Encoder, seen: Taught) -> Scores:
    """1 for each topic whose nearest sentence is the aligned one, else 0; topics that were taught are left out."""
    run = search("dense", collection_sides(collection, "dense", encoder), encoder, hits=1, options=SearchOptions())
    scores = topic_scores(collection, run, "Success@1")
    topics = collection.topics()
    aligned = [
        Pair(topic.text, document.text, "") for topic, document in zip(topics, collection.documents(), strict=True)
    ]
    leaks = dict(zip((topic.qid for topic in topics), seen.holds(aligned), strict=True))
    kept = {qid: score for qid, score in scores.items() if not leaks[qid]}
    say(f"{collection.id}: {len(kept)} of {len(scores)} topics were not taught")
    return kept


def answers(encoder: Encoder, path: Path) -> tuple[Scores, Scores, Scores]:
    """mAP@20 of all questions: on the pool of all languages (VIEWS), on their own language's, on the others'."""
    whole = open_collection("lareqa")
    index = dense_index(whole, encoder)
    vectors = {topic.qid: vector for topic, vector in zip(whole.topics(), queries(whole, encoder), strict=True)}

    def found(view: str, pool: Sequence[str] | None = None) -> tuple[Run, Scores]:
        collection = open_collection(view)
        qids = [topic.qid for topic in collection.topics()]
        searcher = DenseSearcher(index, encoder, languages=pool)
        run = searcher.search_vectors(qids, np.stack([vectors[qid] for qid in qids]), HITS)
        return run, topic_scores(collection, run, "mAP@20")

    run, scores = found("lareqa")
    write_run(run, path)
    own: Scores = {}
    others: Scores = {}
    for code in LANGUAGES:
        own |= found(f"lareqa/x-x/{code}", [code])[1]
        others |= found(f"lareqa/x-y/{code}", [other for other in LANGUAGES if other != code])[1]
    return scores, own, others


def queries(collection: Collection, encoder: Encoder) -> Vectors:
    """The vectors of a collection's topics."""
    texts = [topic.text for topic in collection.topics()]
    blocks = track(range(0, len(texts), BLOCK), "questions", len(texts) // BLOCK + 1)
    return np.concatenate([encoder.encode_queries(texts[start : start + BLOCK]) for start in blocks])


def topic_scores(collection: Collection, run: Run, measure: str) -> Scores:
    """One measure of every topic."""
    qrels = collection.qrels()
    if qrels is None:
        raise ClirError(f"{collection.id} has no qrels")
    return {qid: scores[measure] for qid, scores in evaluate(run, qrels, [measure]).per_topic.items()}


def print_row(name: str, tasks: dict[str, Scores]) -> None:
    """What was found, as soon as it is there."""
    say(f"{name}: " + ", ".join(f"{task} {np.mean(list(scores.values())):.3f}" for task, scores in tasks.items()))


if __name__ == "__main__":
    raise SystemExit(main())

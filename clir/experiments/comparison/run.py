"""Runs what is missing of a comparison: the bitext, the students, their searches; safe to kill at any time."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from clir.corpora.bitext import Pair
from clir.corpora.collection import Collection
from clir.corpora.qrels import Qrels
from clir.corpora.registry import open_collection
from clir.encoding.encoder import Encoder, load_encoder
from clir.evaluation.measures import evaluate
from clir.experiments.comparison.bitext import bitext_key, comparison_pairs
from clir.experiments.comparison.plan import BM25, BM25_ORACLE, ORACLE, UNDISTILLED, Cell, Plan
from clir.experiments.indexes import ROOT
from clir.experiments.search import Method, SearchOptions, collection_sides, provenance, search
from clir.runs.trec import write_run
from clir.support.errors import UsageError
from clir.support.files import write_json
from clir.support.locks import alone
from clir.support.manifest import manifest_beside
from clir.support.progress import say

ENGLISH = "en"
META, MODULES = "meta.json", "modules.json"


@dataclasses.dataclass(frozen=True)
class Line:
    """What searches: a student or one of the references, as results name it."""

    name: str
    system: str
    folder: str
    encoder: str | None
    topics_language: str | None = None
    cell: Cell | None = None


@dataclasses.dataclass(frozen=True)
class Workplace:
    """Where a comparison lies, and what it runs on; drop_students: a student goes when its searches are done."""

    folder: Path
    device: str = "cpu"
    threads: int | None = None
    indexes: Path = ROOT
    drop_students: bool = False

    def student(self, cell: Cell) -> Path:
        """The folder of a cell's student."""
        return self.folder / "students" / cell.folder

    def scores(self, line: Line, collection: str, method: str) -> Path:
        """The scores of one line's search; written last, so that it says that the search is done."""
        return self.folder / "scores" / line.folder / f"{collection.replace('/', '-')}.{method}.json"

    def run(self, line: Line, collection: str, method: str) -> Path:
        """The run of one line's search."""
        return self.folder / "runs" / line.folder / f"{collection.replace('/', '-')}.{method}.run.gz"


def run_comparison(plan: Plan, place: Workplace) -> Iterator[Line]:
    """Train and search all that is missing; yields each line when its scores are there, references first.

    Raises UsageError for a collection without qrels, before anything is trained.
    """
    with alone(place.folder, "comparing in"):
        yield from _run(plan, place)


def _run(plan: Plan, place: Workplace) -> Iterator[Line]:
    collections = [_judged(name) for name in plan.collections]
    cells = plan.cells()
    for line in references(plan):
        _search_all(plan, place, line, collections)
        yield line
    missing = [cell for cell in cells if not is_done(plan, place, line_of(cell, place))]
    pairs, reports = comparison_pairs(plan, place.folder) if missing else ([], {})
    for number, cell in enumerate(cells, start=1):
        line = line_of(cell, place)
        if cell in missing:
            say(f"[{number}/{len(cells)}] {cell.loss}, {cell.budget.label}, seed {cell.seed}")
            _train(plan, place, cell, pairs, reports)
            _search_all(plan, place, line, collections)
        if place.drop_students:
            drop_weights(place.student(cell))
        yield line


def references(plan: Plan) -> list[Line]:
    """The lines that nothing is trained for: BM25, the undistilled models, and both with the English topics."""
    lines = []
    for model in dict.fromkeys(plan.students or plan.teachers):
        name = Path(model).name
        several = len(plan.students or plan.teachers) > 1
        suffix = f" ({name})" if several else ""
        lines.append(Line(UNDISTILLED, UNDISTILLED + suffix, f"{UNDISTILLED}--{name}", model))
        lines.append(Line(ORACLE, ORACLE + suffix, f"{ORACLE}--{name}", model, ENGLISH))
    if plan.bm25:
        lines += [Line(BM25, BM25, "bm25", None), Line(BM25_ORACLE, BM25_ORACLE, "bm25-english", None, ENGLISH)]
    return lines


def line_of(cell: Cell, place: Workplace) -> Line:
    """The line of a cell's student."""
    return Line(cell.loss, cell.loss, cell.folder, str(place.student(cell)), cell=cell)


def methods(plan: Plan, line: Line) -> Sequence[Method]:
    """How a line searches."""
    return tuple(plan.search) if line.encoder else ("bm25",)


def _judged(name: str) -> Collection:
    collection = open_collection(name)
    _qrels(collection)
    return collection


def _qrels(collection: Collection) -> Qrels:
    qrels = collection.qrels()
    if qrels is None:
        raise UsageError(f"{collection.id} has no qrels, which a comparison needs")
    return qrels


def is_done(plan: Plan, place: Workplace, line: Line) -> bool:
    """Whether every search of a line is there, and the manifest of its student, which says what it cost."""
    wanted = [(name, method) for name in plan.collections for method in methods(plan, line)]
    if not all(finished(plan, place, line, name, method) for name, method in wanted):
        return False
    return line.cell is None or (place.student(line.cell) / META).exists()


def finished(plan: Plan, place: Workplace, line: Line, collection: str, method: str) -> bool:
    """Whether a search is there, with all measures that the plan asks for.

    Raises UsageError if it is there but of another recipe or bitext: its number must not pass for the plan's.
    """
    path = place.scores(line, collection, method)
    try:
        made = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return False
    if made["made from"] != made_from(plan, line):
        raise UsageError(
            f"{path.parent} was made by another plan: choose another --output, or remove it and its student"
        )
    return made["hits"] == plan.hits and set(plan.measures) <= made["average"].keys()


def made_from(plan: Plan, line: Line) -> str | None:
    """What a line's numbers depend on beside its folder's name: recipe and bitext of a student, a model's weights."""
    reader = {"documents by": plan.documents_by} if plan.documents_by == "student" else {}
    if line.cell is not None:
        return line.cell.recipe.fingerprint({"bitext": bitext_key(plan)} | reader)
    if line.encoder is None:
        return None
    return load_encoder(line.encoder).fingerprint("query") + "".join(f", {key} {by}" for key, by in reader.items())


def _train(plan: Plan, place: Workplace, cell: Cell, pairs: Sequence[Pair], reports: Any) -> None:
    from clir.distillation.trainer import distil
    from clir.experiments.validation import validation

    recipe, output = cell.recipe, place.student(cell)
    if (output / META).exists() and not (output / MODULES).exists():
        say("its student was dropped, and is trained again")
        shutil.rmtree(output)
    distil(
        recipe, pairs, output, device=place.device,
        validate=validation(recipe.early_stopping, recipe.teacher, recipe.student, place.device, place.indexes),
        about={"data": {"bitext": list(plan.bitext), "held out": list(plan.collections), "pairs by step": reports}},
    )  # fmt: skip


def drop_weights(student: Path) -> None:
    """Remove all of a student's folder but its manifest, which says what the training cost.

    The file without which a folder is no model goes first: what a kill leaves is seen to be dropped.
    """
    (student / MODULES).unlink(missing_ok=True)
    for path in student.iterdir() if student.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != META:
            path.unlink()


def _search_all(plan: Plan, place: Workplace, line: Line, collections: Sequence[Collection]) -> None:
    encoder: Encoder | None = None
    for collection in collections:
        for method in methods(plan, line):
            if finished(plan, place, line, collection.id, method) or not _has_topics(collection, line.topics_language):
                continue
            if line.encoder and encoder is None:
                encoder = load_encoder(line.encoder, device=place.device, documents_by=plan.documents_by)
            _search(plan, place, line, collection, method, encoder)


def _has_topics(collection: Collection, language: str | None) -> bool:
    return language is None or language in collection.topic_languages


def _search(
    plan: Plan, place: Workplace, line: Line, collection: Collection, method: Method, encoder: Encoder | None
) -> None:
    options = SearchOptions(threads=place.threads, first_stage="exhaustive")
    sides = collection_sides(collection, method, encoder, topics_language=line.topics_language, root=place.indexes)
    run = search(method, sides, encoder, hits=plan.hits, options=options).with_tag(line.folder)
    scored = evaluate(run, _qrels(collection), plan.measures)
    output = place.run(line, collection.id, method)
    output.parent.mkdir(parents=True, exist_ok=True)
    # BM25 may find nothing at all for words of another language: a score of 0, and no file.
    if len(run):
        with manifest_beside(output, kind="run", scores=scored.average, **provenance(method, sides, encoder, options)):
            write_run(run, output)
    write_json(
        place.scores(line, collection.id, method),
        {"made from": made_from(plan, line), "hits": plan.hits, "average": scored.average, "topics": scored.per_topic},
    )

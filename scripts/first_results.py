"""The first results page: one multilingual student per loss, on AfriQA and on NTREX held-out.

    python scripts/first_results.py dev  --bitext DIR --recipes encoders/recipes/*.yaml --steps 200
    python scripts/first_results.py test --bitext DIR --recipes encoders/recipes/{ot,mse,contrastive}.yaml
    python scripts/first_results.py shuffled --bitext DIR --recipes encoders/recipes/{ot,mse,contrastive}.yaml

DIR holds the bitext folders mafand, gamayun, tico19, hornmt, alt and tatoeba in their upstream layout;
the collections come from $CLIR_DATA (`python -m clir.fetch afriqa ntrex`). `dev` scores candidates on
dev topics alone; `test` trains the chosen recipes and reports; `shuffled` is the control in which every
English sentence is taught to the foreign side of another. Finished students and indexes are reused.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from marked_table import print_table

from clir.corpora.bitext import Pair
from clir.corpora.registry import open_collection
from clir.distillation.recipe import Recipe, read_recipe
from clir.distillation.trainer import distil
from clir.encoding.encoder import Encoder, load_encoder
from clir.evaluation.measures import evaluate
from clir.experiments.search import Method, Sides, collection_sides, search
from clir.experiments.training_data import training_pairs
from clir.retrieval.hybrid import FusionOptions
from clir.runs.run import Run
from clir.runs.trec import write_run
from clir.support.errors import ClirError
from clir.support.files import write_json
from clir.support.manifest import write_manifest
from clir.support.progress import say

MODEL = "encoders/models/multilingual-e5-small"
DEV = ("afriqa/ha/dev", "afriqa/ig/dev", "ntrex-heldout/sw/dev", "ntrex-heldout/so/dev", "ntrex-heldout/fil/dev",
       "ntrex-heldout/mr/dev")  # fmt: skip
AFRIQA = ("afriqa/sw/test", "afriqa/ha/test", "afriqa/yo/test", "afriqa/ig/test")
TEST = (*AFRIQA, "ntrex-heldout/sw", "ntrex-heldout/so", "ntrex-heldout/fil", "ntrex-heldout/mr")
MEASURES = ("AP", "nDCG@10", "R@100")
# Weights of the dense side that are tried on dev for the weighted hybrid.
WEIGHTS = (0.9, 0.8, 0.7, 0.6, 0.5)
BITEXT = {
    "sw": ["mafand/en-swa/train.en,mafand/en-swa/train.swa", "tico19/all.en-sw.tmx",
           "gamayun/swa-eng/en-kit5k-v1/gamayun_kit5k-v1_eng-hau_ENG.txt,"
           "gamayun/swa-eng/en-kit5k-v1/gamayun_kit5k-v1_eng-swa_SWA.txt"],
    "ha": ["mafand/en-hau/train.en,mafand/en-hau/train.hau", "tico19/all.en-ha.tmx",
           "gamayun/hau-eng/en-kit5k-v1/gamayun_kit5k-v1_eng-hau_ENG.txt,"
           "gamayun/hau-eng/en-kit5k-v1/gamayun_kit5k-v1_eng-hau_HAU.txt"],
    "yo": ["mafand/en-yor/train.en,mafand/en-yor/train.yor"],
    "ig": ["mafand/en-ibo/train.en,mafand/en-ibo/train.ibo"],
    "so": ["tico19/all.en-so.tmx", "hornmt/eng.txt,hornmt/som.txt"],
    "fil": ["alt/English.txt,alt/Tagalog.txt", "tico19/all.en-tl.tmx", "tatoeba/tgl.txt"],
    "mr": ["tico19/all.en-mr.tmx", "tatoeba/mar.txt"],
}  # fmt: skip


def main() -> int:
    """Run the stage that the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["dev", "test", "shuffled"])
    parser.add_argument("--bitext", type=Path, required=True, help="folder of the bitext folders")
    parser.add_argument("--recipes", nargs="+", required=True, help="recipe files; a student is named after its file")
    parser.add_argument("--steps", type=int, help="steps instead of the recipes' own")
    parser.add_argument("--pairs-per-language", type=int, default=2500)
    parser.add_argument("--output", type=Path, default=Path("runs/first-results"))
    options = parser.parse_args()
    try:
        {"dev": dev, "test": test, "shuffled": shuffled}[options.stage](options)
    except ClirError as error:
        say(str(error))
        return error.exit_status
    return 0


def dev(options: argparse.Namespace) -> None:
    """Score candidate recipes on dev topics."""
    encoders = {"undistilled": load_encoder(MODEL)} | students(options)
    rows = {}
    for name, encoder in encoders.items():
        runs = {collection: dense_run(collection, encoder) for collection in DEV}
        rows[name] = {collection: score(collection, run) for collection, run in runs.items()}
        print_row(name, [average(rows[name][collection]) for collection in DEV])
    write_json(options.output / "dev.json", rows)


def shuffled(options: argparse.Namespace) -> None:
    """Train the controls and score them beside the undistilled model on AfriQA's test topics."""
    encoders = {"undistilled": load_encoder(MODEL)} | students(options, shuffle=True)
    for name, encoder in encoders.items():
        values = [score(collection, dense_run(collection, encoder)) for collection in AFRIQA]
        print_row(name if name == "undistilled" else f"{name}, shuffled", [average(value) for value in values])


def test(options: argparse.Namespace) -> None:
    """Train, tune the hybrid's weight on dev, run every system on the test topics, compare with undistilled."""
    trained = students(options)
    weights = {name: best_weight(name, encoder) for name, encoder in trained.items()}
    write_json(options.output / "hybrid-weights.json", weights)
    table: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for collection in TEST:
        folder = options.output / collection.replace("/", "-")
        scores = {}
        for name, run in test_runs(collection, trained, weights).items():
            write_run(run, folder / f"{name}.run")
            write_manifest(folder / f"{name}.run", kind="run", tag=run.tag, data={"collection": collection})
            scores[name] = score(collection, run)
        table[collection] = scores
        say(f"{collection}: " + ", ".join(f"{name} {average(value):.3f}" for name, value in scores.items()))
    write_json(options.output / "test.json", table)
    print_tables(table)


def students(options: argparse.Namespace, shuffle: bool = False) -> dict[str, Encoder]:
    """The student of every recipe, trained where it is not there yet."""
    pairs = pairs_of(options)
    made = {}
    for path in options.recipes:
        name = Path(path).stem
        recipe = read_recipe(path, {"steps": options.steps, "pairs_per_language": options.pairs_per_language})
        if shuffle:
            recipe = Recipe.model_validate(recipe.model_dump() | {"shuffle_targets": True})
        steps = f"-{options.steps}" if options.steps else ""
        folder = options.output / "students" / f"{name}{steps}{'-shuffled' if shuffle else ''}"
        say(f"student {folder.name}")
        made[name] = load_encoder(str(distil(recipe, pairs, folder, about={"data": {"bitext": BITEXT}})))
    return made


def pairs_of(options: argparse.Namespace) -> list[Pair]:
    """The cleaned pairs of all languages without anything of the topics and documents that are scored."""
    kept = options.output / "pairs.json"
    if kept.exists():
        return [Pair(*values) for values in json.loads(kept.read_text("utf-8"))["pairs"]]
    specs = [f"{code}={rooted(spec, options.bitext)}" for code, parts in BITEXT.items() for spec in parts]
    pairs, reports = training_pairs(specs, held_out=(*DEV, *TEST))
    say(json.dumps(reports))
    write_json(kept, {"reports": reports, "pairs": pairs})
    return pairs


def rooted(spec: str, folder: Path) -> str:
    """The spec with `folder` before each of its paths."""
    return ",".join(str(folder / part) for part in spec.split(","))


def dense_run(collection: str, encoder: Encoder, language: str | None = None) -> Run:
    """The run of dense search with the topics' own language (or `language`)."""
    return run_of(collection, "dense", encoder, language)


def run_of(collection: str, method: Method, encoder: Encoder | None, language: str | None = None) -> Run:
    """One run from the collection's indexes."""
    sides: Sides = collection_sides(open_collection(collection), method, encoder, topics_language=language)
    return search(method, sides, encoder)


def test_runs(collection: str, trained: dict[str, Encoder], weights: dict[str, float]) -> dict[str, Run]:
    """Every system's run, by its name in the table."""
    undistilled = load_encoder(MODEL)
    native = run_of(collection, "bm25", None)
    human = run_of(collection, "bm25", None, "en")
    runs = {"BM25": native, "BM25, human English": human, "undistilled": dense_run(collection, undistilled)}
    for name, encoder in trained.items():
        runs[name] = dense_run(collection, encoder)
    for name in trained:
        runs[f"{name} + BM25"] = hybrid(runs[name], native, weights[name])
    for name in trained:
        runs[f"{name} + BM25, human English"] = hybrid(runs[name], human, 0.5)
    runs["oracle"] = dense_run(collection, undistilled, "en")
    return runs


def hybrid(dense: Run, sparse: Run, weight: float) -> Run:
    """The weighted sum of min-max normalised scores."""
    from clir.runs.fusion import fuse

    options = FusionOptions("weighted", weights=(weight, 1 - weight))
    return fuse([dense, sparse], options.method, weights=options.weights, normalization=options.normalization)


def best_weight(name: str, encoder: Encoder) -> float:
    """The dense side's weight with the best mean AP over the dev collections."""
    sides = {collection: (dense_run(collection, encoder), run_of(collection, "bm25", None)) for collection in DEV}
    values = {
        weight: float(np.mean([average(score(c, hybrid(*runs, weight))) for c, runs in sides.items()]))
        for weight in WEIGHTS
    }
    say(f"hybrid of {name} on dev: " + ", ".join(f"{weight} {value:.4f}" for weight, value in values.items()))
    return max(values, key=lambda weight: values[weight])


def score(collection: str, run: Run) -> dict[str, dict[str, float]]:
    """Every topic's measures."""
    qrels = open_collection(collection).qrels()
    if qrels is None:
        raise ClirError(f"{collection} has no qrels")
    return evaluate(run, qrels, MEASURES).per_topic


def average(values: dict[str, dict[str, float]], measure: str = "AP") -> float:
    """Mean over topics."""
    return float(np.mean([topic[measure] for topic in values.values()]))


def print_row(name: str, values: Sequence[float]) -> None:
    """A line of a Markdown table: the values and their mean."""
    print(f"{name} | " + " | ".join(f"{value:.3f}" for value in (*values, float(np.mean(values)))), flush=True)


def print_tables(table: dict[str, dict[str, dict[str, dict[str, float]]]]) -> None:
    """A Markdown table per measure."""
    for measure in MEASURES:
        systems = {
            name: {
                collection: {qid: one[measure] for qid, one in table[collection][name].items()} for collection in table
            }
            for name in next(iter(table.values()))
        }
        print_table(measure, systems, "undistilled")


if __name__ == "__main__":
    raise SystemExit(main())

"""A language added to a student: what the earlier languages lose without their pairs, and with them.

    python scripts/continuing_results.py --bitext DIR

DIR holds the bitext folders mafand, tico19 and hornmt in their upstream layout; the collections come from $CLIR_DATA
(`python -m clir.fetch afriqa ntrex`). One student learns Hausa and Igbo; two others go on from it with Somali, one
with Somali alone (`--continue-from ... --replay 0`), one with half as many pairs of the earlier languages
(`--replay 0.5`). Pairs with anything of what is searched are removed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from marked_table import print_table

from clir.corpora.bitext import Pair
from clir.corpora.registry import open_collection
from clir.distillation.lesson import chosen_pairs
from clir.distillation.recipe import Recipe, read_recipe
from clir.distillation.trainer import distil
from clir.encoding.encoder import load_encoder
from clir.evaluation.measures import evaluate
from clir.evaluation.significance import compare
from clir.experiments.continuing import with_earlier
from clir.experiments.search import Method, SearchOptions, collection_sides, search
from clir.experiments.training_data import training_pairs
from clir.runs.trec import write_run
from clir.support.errors import ClirError
from clir.support.files import write_json
from clir.support.progress import say

MODEL = "encoders/models/multilingual-e5-small"
EARLIER = [
    "ha=mafand/en-hau/train.en,mafand/en-hau/train.hau",
    "ig=mafand/en-ibo/train.en,mafand/en-ibo/train.ibo",
]
NEW = ["so=tico19/all.en-so.tmx", "so=hornmt/eng.txt,hornmt/som.txt"]
COLLECTIONS = ("afriqa/ha/test", "afriqa/ig/test", "ntrex-heldout/so")
SEARCHES: tuple[Method, ...] = ("dense", "late")
EARLIER = "ha, ig"
WITHOUT, WITH = "then so, no replay", "then so, replay .5"
SHARE, HITS = 0.5, 1000

Scores = dict[str, float]
"""Every topic's AP."""


def main() -> int:
    """Train what is missing, search, print the tables; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bitext", type=Path, required=True, help="folder of the bitext folders")
    parser.add_argument("--loss", default="token-contrastive", help="what the students minimise")
    parser.add_argument("--pairs", type=int, default=768, metavar="N", help="of each earlier language; twice of Somali")
    parser.add_argument("--output", type=Path, default=Path("runs/continuing"))
    options = parser.parse_args()
    try:
        found = {"undistilled": scores(MODEL, options.output / "undistilled")}
        for name, folder in students(options).items():
            found[name] = scores(str(folder), options.output / folder.name)
            say(f"{name}: {', '.join(f'{np.mean(list(one.values())):.3f}' for one in found[name].values())}")
    except ClirError as error:
        say(str(error))
        return error.exit_status
    for method in SEARCHES:
        tell(method, found)
    write_json(options.output / "scores.json", {name: {" ".join(key): one for key, one in each.items()}
                                                for name, each in found.items()})  # fmt: skip
    return 0


def students(options: argparse.Namespace) -> dict[str, Path]:
    """The three students, trained where they are missing."""
    known = drawn(options, EARLIER, options.pairs)
    new = drawn(options, NEW, 2 * options.pairs)
    folder = options.output / "students"
    first = distil(recipe(options, MODEL), known, folder / "earlier")
    return {
        EARLIER: first,
        WITHOUT: distil(recipe(options, first), new, folder / "without"),
        WITH: distil(recipe(options, first), with_earlier(new, known, SHARE), folder / "with"),
    }


def recipe(options: argparse.Namespace, start: str | Path) -> Recipe:
    """One pass over the pairs, from `start`."""
    return read_recipe(None, {"teacher": MODEL, "student": str(start), "loss": options.loss})


def drawn(options: argparse.Namespace, specs: Sequence[str], count: int) -> list[Pair]:
    """`count` pairs of each language of the bitext."""
    pairs, _ = training_pairs([rooted(spec, options.bitext) for spec in specs], held_out=COLLECTIONS)
    return chosen_pairs(pairs, recipe(options, MODEL).model_copy(update={"pairs_per_language": count}))


def rooted(spec: str, folder: Path) -> str:
    """The spec with `folder` before each of its paths."""
    language, _, paths = spec.partition("=")
    return f"{language}=" + ",".join(str(folder / part) for part in paths.split(","))


def scores(model: str, folder: Path) -> dict[tuple[str, Method], Scores]:
    """AP on every collection by every search."""
    encoder = load_encoder(model)
    found: dict[tuple[str, Method], Scores] = {}
    for name in COLLECTIONS:
        collection = open_collection(name)
        qrels = collection.qrels()
        if qrels is None:
            raise ClirError(f"{name} has no qrels")
        for method in SEARCHES:
            sides = collection_sides(collection, method, encoder)
            run = search(method, sides, encoder, hits=HITS, options=SearchOptions(first_stage="exhaustive"))
            write_run(run, folder / f"{name.replace('/', '-')}.{method}.run")
            found[name, method] = {qid: one["AP"] for qid, one in evaluate(run, qrels, ["AP"]).per_topic.items()}
    return found


def tell(method: Method, found: Mapping[str, Mapping[tuple[str, Method], Scores]]) -> None:
    """A table against the earlier student; on stderr, the students with and without replay against each other."""
    systems = {name: {collection: own[collection, method] for collection in COLLECTIONS} for name, own in found.items()}
    print_table(f"MAP, {method}", systems, EARLIER)
    for collection in COLLECTIONS:
        alone, replayed = (np.array(list(systems[name][collection].values())) for name in (WITHOUT, WITH))
        direct = compare(alone, {WITH: replayed})[WITH]
        say(f"{collection}, {method}: {WITH} against {WITHOUT} {direct.difference:+.4f}, p = {direct.p:.4f}")


if __name__ == "__main__":
    raise SystemExit(main())

"""The door `python -m clir.train`: bitext and a teacher in, a student query encoder out."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clir.support.command import Parser, run_door

if TYPE_CHECKING:
    from clir.distillation.recipe import Recipe
    from clir.experiments.continuing import Earlier

E5 = "encoders/models/multilingual-e5-small"
EXAMPLES = f"""
python -m clir.train --teacher {E5} --student {E5} --bitext news.en,news.sw --language sw \\
    --loss ot --output encoders/students/sw-ot
python -m clir.train --recipe encoders/recipes/ot.yaml --bitext sw=a.en,a.sw ha=b.tmx so=c.tsv \\
    --held-out afriqa/sw/test --output encoders/students/many-ot
python -m clir.train --teacher encoders/models/all-MiniLM-L6-v2 --student {E5} --bitext news.en,news.sw \\
    --language sw --loss mse --output encoders/students/sw-minilm
"""
# Options that are keys of a recipe, by the recipe's name.
# Pairs of the earlier languages for each new one.
REPLAY = 0.5
RECIPE_OPTIONS = (
    "teacher", "student", "loss", "steps", "epochs", "batch_size", "accumulation", "learning_rate", "warmup",
    "schedule", "max_tokens", "english_replay", "freeze_layers", "freeze_embeddings", "head", "pairs_per_language",
    "shuffle_targets", "trim_vocabulary", "seed", "precision",
)  # fmt: skip
LOSS_OPTIONS = (
    "solver", "epsilon", "epsilon_unit", "iterations", "cost", "centred", "marginals", "differentiate_plan",
    "temperature", "queue",
)  # fmt: skip


def parser() -> Parser:
    """The options of this door."""
    parser = Parser(
        "train",
        "Distil a student query encoder: it learns to give a foreign sentence the states that the teacher gives\n"
        "its English translation. Documents stay the teacher's. A killed run goes on from its last checkpoint.",
        EXAMPLES,
    )
    parser.add_argument("--recipe", metavar="YAML", help="a recipe; options given beside it override it")
    parser.add_argument("--teacher", help="the model that reads English: folder or hub id")
    parser.add_argument("--student", help="the model that the student starts from (default: the teacher)")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="where the student is saved")

    data = parser.add_argument_group("bitext")
    data.add_argument(
        "--bitext", nargs="+", required=True, metavar="SPEC",
        help="A.en,A.sw (line-aligned, English first; A.sw,A.en:sw,en says another order), B.tmx, C.tsv or C.csv "
        "(English, foreign; or C.tsv:3,1 and C.tsv:source,target for columns by number or by name in the header line), "
        "D.jsonl or D.parquet (texts under en and the language's code; or D.jsonl:source,target); any of them "
        "compressed; sw=SPEC names the language",
    )  # fmt: skip
    data.add_argument(
        "--language",
        nargs="+",
        default=[],
        metavar="CODE",
        help="language of the bitext: one code, or one for each SPEC",
    )
    data.add_argument(
        "--held-out",
        nargs="+",
        default=[],
        metavar="ID|FILE",
        help="collections or files whose text is removed from the bitext",
    )
    data.add_argument("--no-cleaning", action="store_true", help="keep duplicates and odd pairs")
    data.add_argument("--no-language-guess", action="store_true", help="keep sides that look like another language")
    data.add_argument(
        "--dropped", metavar="TSV", help="write all dropped pairs to this file: reason, language, both sides"
    )
    data.add_argument("--pairs-per-language", type=int, metavar="N", help="at most so many pairs of each language")
    data.add_argument("--shuffle-targets", action="store_true", default=None, help="control: teach wrong translations")

    loss = parser.add_argument_group("loss")
    loss.add_argument(
        "--loss", metavar="NAME[+NAME]",
        help="what the student minimises, names joined by + for a sum (default: ot+token-contrastive, weights 1 and "
        "0.1): ot, sinkhorn-divergence, mse, cosine, contrastive, token-contrastive, late-interaction, aligned-mse, "
        "relevance, norm",
    )  # fmt: skip
    loss.add_argument(
        "--weights", nargs="+", type=float, metavar="W", help="weights of the losses of a sum (default: 1 each)"
    )
    loss.add_argument(
        "--solver", metavar="NAME",
        help="solver for the transport of tokens: sinkhorn (default), ipot, unbalanced, partial, exact, greedy, maxsim",
    )  # fmt: skip
    loss.add_argument("--epsilon", type=float, help="solver: entropy (default: 0.1)")
    loss.add_argument("--epsilon-unit", metavar="spread|absolute", help="solver: epsilon's unit (default: spread)")
    loss.add_argument("--iterations", type=int, help="solver: iterations (default: 50)")
    loss.add_argument("--cost", metavar="cosine|squared", help="cost between two tokens (default: cosine)")
    loss.add_argument(
        "--centred", action=argparse.BooleanOptionalAction,
        help="take the mean teacher token of the batch out of all tokens first (default: only ot does)",
    )  # fmt: skip
    loss.add_argument("--marginals", metavar="uniform|norm|idf", help="token weights (default: uniform)")
    loss.add_argument("--differentiate-plan", action="store_true", default=None, help="ot: gradient through the solver")
    loss.add_argument(
        "--temperature", type=float, help="contrastive losses: temperature (default: 0.02; token-contrastive: 0.05)"
    )
    loss.add_argument("--queue", type=int, metavar="N", help="contrastive: negatives from earlier batches (default: 0)")
    loss.add_argument(
        "--english-replay",
        type=float,
        metavar="SHARE",
        help="share of the pairs whose English side the student learns too (default: 0)",
    )

    run = parser.add_argument_group("training")
    run.add_argument("--steps", type=int, metavar="N", help="optimiser steps (default: one pass, or --epochs)")
    run.add_argument("--epochs", type=float, metavar="E", help="passes over the bitext (default: 1)")
    run.add_argument("--batch-size", type=int, metavar="B", help="pairs a step (default: 32)")
    run.add_argument("--lr", dest="learning_rate", type=float, metavar="X", help="peak learning rate (default: 1e-4)")
    run.add_argument("--accumulation", type=int, metavar="K", help="batches added up for a step (default: 1)")
    run.add_argument("--warmup", type=float, help="share of the steps that warm up (default: 0.1)")
    run.add_argument("--schedule", metavar="NAME", help="linear (default), cosine, constant_with_warmup")
    run.add_argument("--max-tokens", type=int, metavar="T", help="longer sentences are cut (default: 96)")
    run.add_argument("--freeze-layers", type=int, metavar="L", help="lowest layers that are not trained (default: 0)")
    run.add_argument(
        "--train-embeddings", dest="freeze_embeddings", action="store_false", default=None,
        help="train the word embeddings too (default: they are kept)",
    )  # fmt: skip
    run.add_argument(
        "--trim-vocabulary", metavar="pieces|characters",
        help="keep only word embeddings for the bitext's scripts (pieces) or its tokens and all characters",
    )  # fmt: skip
    run.add_argument("--head", metavar="auto|none|linear", help="linear head on tokens (default: auto)")
    run.add_argument("--seed", type=int, metavar="K", help="order of the pairs (default: 1)")
    run.add_argument(
        "--precision", metavar="auto|fp32|bf16|fp16", help="auto (default): bf16 where the machine has it",
    )  # fmt: skip
    run.add_argument("--device", default="cpu", help="cpu (default), cuda")
    run.add_argument("--threads", type=int, metavar="N", help="processor threads (default: all)")
    run.add_argument("--checkpoint-steps", type=int, default=100, metavar="N", help="steps between checkpoints (100)")
    run.add_argument("--tensorboard", metavar="FOLDER", help="write event files for TensorBoard into this folder")

    stop = parser.add_argument_group("early stopping")
    stop.add_argument(
        "--early-stopping", metavar="bitext|ID", dest="stop_by",
        help="score the student in between, by finding held-out translations or on a collection (a dev split), stop "
        "when it gets no better, keep the best",
    )  # fmt: skip
    stop.add_argument("--stop-search", metavar="dense|late", help="how that collection is searched (default: dense)")
    stop.add_argument("--every", type=int, metavar="N", help="steps between scores (default: 50)")
    stop.add_argument("--patience", type=int, metavar="K", help="scores in a row that are no better (default: 3)")

    more = parser.add_argument_group("more languages for a student")
    more.add_argument("--continue-from", metavar="STUDENT", help="start from this student, and keep its languages")
    more.add_argument(
        "--replay", type=float, metavar="SHARE",
        help="pairs of the earlier languages that come along, as a share of the new ones "
        f"(default: {REPLAY}; 0 for none)",
    )  # fmt: skip
    return parser


def work(options: argparse.Namespace) -> None:
    """Read recipe and bitext, train, print where the student lies."""
    from clir.support.command import at_least_one, use_threads

    at_least_one(options, "threads", "checkpoint_steps")
    use_threads(options.threads)
    from clir.distillation.processes import training_alone

    with training_alone(options.output):
        _train(options)


def _train(options: argparse.Namespace) -> None:
    from clir.corpora.bitext import parse_specs

    earlier = _continued(options)
    recipe = _recipe(options)
    parse_specs(options.bitext, options.language)

    from clir.distillation.lesson import limited
    from clir.distillation.start import tower_encoder
    from clir.distillation.validation import BITEXT
    from clir.experiments.continuing import check_space, with_earlier, with_languages
    from clir.experiments.training_data import training_pairs

    # Models that cannot be trained with are known before the bitext is read and an index is made.
    for model in dict.fromkeys((recipe.teacher, recipe.student)):
        tower_encoder(model, options.device)
    if earlier:
        check_space(recipe)
    stopping = recipe.early_stopping
    # What a student is chosen by is no more part of its lesson than what it is tested on.
    chosen_by = [stopping.by] if stopping and stopping.by != BITEXT else []
    # Nor may the replayed pairs be what the earlier student was not to see.
    held_out = list(dict.fromkeys([*options.held_out, *chosen_by, *(earlier.held_out if earlier else [])]))
    pairs, reports = training_pairs(
        options.bitext, options.language, held_out=held_out, cleaning=not options.no_cleaning,
        language_guess=not options.no_language_guess, dropped=options.dropped,
    )  # fmt: skip
    _tell(reports)

    if earlier and options.replay:
        known, more = training_pairs(
            earlier.bitext, held_out=held_out, cleaning=not options.no_cleaning,
            language_guess=not options.no_language_guess,
        )  # fmt: skip
        # The share is of what is trained on.
        pairs = with_earlier(limited(pairs, recipe.pairs_per_language), known, options.replay)
        _tell({f"earlier {step}": counts for step, counts in more.items()})

    from clir.distillation.processes import first_process_first, is_first
    from clir.distillation.trainer import distil
    from clir.experiments.validation import validation

    sources = [*with_languages(options.bitext, options.language), *(earlier.bitext if earlier else [])]
    about: dict[str, Any] = {"data": {"bitext": sources, "held out": held_out, "pairs by step": reports}}
    # The first process makes the index that is missing, the others find it.
    with first_process_first(options.device):
        validate = validation(recipe.early_stopping, recipe.teacher, recipe.student, options.device)
    output = distil(
        recipe, pairs, options.output, device=options.device, checkpoint_steps=options.checkpoint_steps,
        validate=validate, tensorboard=options.tensorboard, about=about,
    )  # fmt: skip
    if is_first():
        print(output)


def _recipe(options: argparse.Namespace) -> Recipe:
    from clir.distillation.recipe import read_recipe, with_loss_options
    from clir.support.errors import UsageError
    from clir.support.settings import read_yaml

    overrides = {name: getattr(options, name) for name in RECIPE_OPTIONS}
    given = {
        "by": options.stop_by,
        "search": options.stop_search,
        "every": options.every,
        "patience": options.patience,
    }
    if stopping := {key: value for key, value in given.items() if value is not None}:
        by = options.stop_by or (options.recipe and read_yaml(options.recipe).get("early_stopping"))
        if not by:
            raise UsageError(f"--{next(iter(stopping)).replace('search', 'stop-search')} needs --early-stopping")
        overrides["early_stopping"] = stopping
    if not options.recipe and not overrides["teacher"]:
        raise UsageError("--teacher is needed (or a --recipe that names one)")
    recipe = read_recipe(options.recipe, overrides)
    return with_loss_options(recipe, {name: getattr(options, name) for name in LOSS_OPTIONS}, options.weights)


def _continued(options: argparse.Namespace) -> Earlier | None:
    """Fill in the start and the teacher of a student that is continued; its earlier training."""
    from clir.support.errors import UsageError

    if options.continue_from is None:
        if options.replay is not None:
            raise UsageError("--replay is for pairs of an earlier training: it needs --continue-from")
        return None
    from clir.experiments.continuing import earlier_training

    if options.student:
        raise UsageError("--continue-from is the student to start from: leave out --student")
    options.replay = REPLAY if options.replay is None else options.replay
    if not 0 <= options.replay < float("inf"):
        raise UsageError("--replay is a share of the new pairs, 0 or more")
    earlier = earlier_training(options.continue_from)
    options.student, options.teacher = options.continue_from, options.teacher or earlier.teacher
    return earlier


def _tell(reports: Mapping[str, Mapping[str, int]]) -> None:
    """How many pairs each step kept, and what it dropped for which reason, on stderr."""
    from clir.support.progress import say

    for step, counts in reports.items():
        dropped = [f"{count:,} {reason}" for reason, count in counts.items() if reason != "kept" and count]
        if "kept" not in counts:
            say(f"bitext, {step}: {'; '.join(dropped)}")
            continue
        without = f" (without {', '.join(dropped)})" if dropped else ""
        say(f"bitext, {step}: {counts.get('kept', 0):,} pairs{without}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; returns the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())

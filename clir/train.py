"""The door `python -m clir.train`: bitext and a teacher in, a student query encoder out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clir.support.command import Parser, run_door

if TYPE_CHECKING:
    from clir.distillation.recipe import Recipe

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
RECIPE_OPTIONS = (
    "teacher", "student", "loss", "steps", "epochs", "batch_size", "learning_rate", "warmup", "max_tokens",
    "freeze_layers", "head", "pairs_per_language", "shuffle_targets", "seed", "precision",
)  # fmt: skip
LOSS_OPTIONS = (
    "epsilon", "epsilon_unit", "iterations", "marginals", "sentence_term", "sentence_weight", "temperature",
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
        help="A.en,A.sw (line-aligned), B.tmx, or C.tsv (English, tab, foreign); sw=SPEC names the language",
    )  # fmt: skip
    data.add_argument("--language", nargs="+", default=[], metavar="CODE", help="of the bitext: one, or one a SPEC")
    data.add_argument("--held-out", nargs="+", default=[], metavar="ID", help="collections whose text is removed")
    data.add_argument("--no-cleaning", action="store_true", help="keep duplicates and odd pairs")
    data.add_argument("--pairs-per-language", type=int, metavar="N", help="at most so many pairs of each language")
    data.add_argument("--shuffle-targets", action="store_true", default=None, help="control: teach wrong translations")

    loss = parser.add_argument_group("loss")
    loss.add_argument("--loss", metavar="ot|mse|contrastive", help="what the student minimises (default: ot)")
    loss.add_argument("--epsilon", type=float, help="ot: entropy (default: 0.1)")
    loss.add_argument("--epsilon-unit", metavar="spread|absolute", help="ot: epsilon's unit (default: spread)")
    loss.add_argument("--iterations", type=int, help="ot: Sinkhorn iterations (default: 50)")
    loss.add_argument("--marginals", metavar="uniform|norm", help="ot: token weights (default: uniform)")
    loss.add_argument("--sentence-term", metavar="none|mse|contrastive", help="ot: a second loss on sentences")
    loss.add_argument("--sentence-weight", type=float, help="ot: weight of the sentence term (default: 1)")
    loss.add_argument("--temperature", type=float, help="contrastive: temperature (default: 0.02)")

    run = parser.add_argument_group("training")
    run.add_argument("--steps", type=int, metavar="N", help="optimiser steps (default: one pass, or --epochs)")
    run.add_argument("--epochs", type=float, metavar="E", help="passes over the bitext (default: 1)")
    run.add_argument("--batch-size", type=int, metavar="B", help="pairs a step (default: 32)")
    run.add_argument("--lr", dest="learning_rate", type=float, metavar="X", help="peak learning rate (default: 1e-4)")
    run.add_argument("--warmup", type=float, help="share of the steps that warm up (default: 0.1)")
    run.add_argument("--max-tokens", type=int, metavar="T", help="longer sentences are cut (default: 96)")
    run.add_argument("--freeze-layers", type=int, metavar="L", help="lowest layers that are not trained (default: 0)")
    run.add_argument("--head", metavar="auto|none|linear", help="linear head on tokens (default: auto)")
    run.add_argument("--seed", type=int, metavar="K", help="order of the pairs (default: 1)")
    run.add_argument("--precision", metavar="auto|fp32|bf16", help="auto (default): bf16 where the machine has it")
    run.add_argument("--device", default="cpu", help="cpu (default), cuda")
    run.add_argument("--threads", type=int, metavar="N", help="processor threads (default: all)")
    run.add_argument("--checkpoint-steps", type=int, default=100, metavar="N", help="steps between checkpoints (100)")
    return parser


def work(options: argparse.Namespace) -> None:
    """Read recipe and bitext, train, print where the student lies."""
    from clir.corpora.bitext import parse_specs
    from clir.support.command import at_least_one, use_threads

    at_least_one(options, "threads", "checkpoint_steps")
    use_threads(options.threads)
    recipe = _recipe(options)
    parse_specs(options.bitext, options.language)

    from clir.experiments.training_data import training_pairs

    pairs, reports = training_pairs(
        options.bitext, options.language, held_out=options.held_out, cleaning=not options.no_cleaning
    )
    _tell(reports)

    from clir.distillation.trainer import distil

    about: dict[str, Any] = {"data": {"bitext": options.bitext, "held out": options.held_out, "pairs by step": reports}}
    print(
        distil(
            recipe, pairs, options.output, device=options.device,
            checkpoint_steps=options.checkpoint_steps, about=about,
        )
    )  # fmt: skip


def _recipe(options: argparse.Namespace) -> Recipe:
    from clir.distillation.recipe import read_recipe, with_loss_options
    from clir.support.errors import UsageError

    overrides = {name: getattr(options, name) for name in RECIPE_OPTIONS}
    if not options.recipe and not overrides["teacher"]:
        raise UsageError("--teacher is needed (or a --recipe that names one)")
    recipe = read_recipe(options.recipe, overrides)
    return with_loss_options(recipe, {name: getattr(options, name) for name in LOSS_OPTIONS})


def _tell(reports: dict[str, dict[str, int]]) -> None:
    """How many pairs each step kept, and what it dropped for which reason, on stderr."""
    from clir.support.progress import say

    for step, counts in reports.items():
        dropped = [f"{count:,} {reason}" for reason, count in counts.items() if reason != "kept" and count]
        without = f" (without {', '.join(dropped)})" if dropped else ""
        say(f"bitext, {step}: {counts.get('kept', 0):,} pairs{without}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; returns the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())

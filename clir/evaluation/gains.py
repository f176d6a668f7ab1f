"""Relevance grades as gains by name, and rankings without their unjudged hits."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from clir.corpora.qrels import Qrels
from clir.corpora.qrels_forms import HIGHEST
from clir.runs.run import Run
from clir.support.errors import ClirError, UsageError

# Gains of each judged grade. NeuCLIR and HC4 judge 3 (very valuable), 1 (somewhat valuable) and 0 already;
# the names check that the qrels hold no other grade.
NAMED: dict[str, dict[int, int]] = {
    "neuclir": {0: 0, 1: 1, 3: 3},
    "miracl": {0: 0, 1: 1},
    "graded": {0: 0, 1: 1, 2: 2, 3: 3},
    "exponential": {0: 0, 1: 1, 2: 3, 3: 7, 4: 15},
    "binary": {0: 0, 1: 1, 2: 1, 3: 1, 4: 1},
}


def gains(names: Sequence[str]) -> dict[int, int]:
    """Gains from a name (`neuclir`), or from `grade=gain` words; UsageError for anything else."""
    if len(names) == 1 and names[0] in NAMED:
        return NAMED[names[0]]
    try:
        pairs = [(int(grade), int(gain)) for grade, gain in (name.split("=") for name in names)]
    except ValueError as error:
        raise UsageError(
            f"--gains {' '.join(names)}: give a name ({', '.join(NAMED)}), or grade=gain for each grade, such "
            "as 1=1 2=3"
        ) from error
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UsageError(f"--gains {' '.join(names)}: the same grade is there twice")
    if max(found.values()) > HIGHEST:
        raise UsageError(f"--gains {' '.join(names)}: a gain is at most {HIGHEST:,}")
    return found


def regraded(qrels: Qrels, gain_of: dict[int, int]) -> Qrels:
    """Qrels with every grade replaced by its gain; negative grades stay. ClirError for a grade without one."""
    grades = [grade for grade in qrels.frame["relevance"].unique().sort().to_list() if grade >= 0]
    if lacking := [grade for grade in grades if grade not in gain_of]:
        raise ClirError(f"the qrels have the grade {lacking[0]}, for which --gains names no gain")
    replaced = pl.col("relevance").replace_strict(gain_of, default=pl.col("relevance"))
    return Qrels.from_lines(qrels.judgements.with_columns(replaced.cast(pl.Int64)))


def judged_only(run: Run, qrels: Qrels) -> Run:
    """The run without the hits that were not judged for their topic (Sakai's condensed list).

    As in trec_eval (`-J`) and in ir_measures' `judged_only=True`, a grade below 0 stands for a document of the pool
    that nobody judged.
    """
    judged = qrels.frame.filter(pl.col("relevance") >= 0).select("qid", "docid")
    return Run(run.frame.join(judged, on=["qid", "docid"], how="semi", maintain_order="left"), run.tag)

"""Fusion tuned honestly: parameters chosen on some topics, used on others, by cross-validation over topics.

The run that comes out is out of fold: every judged topic is fused with parameters that were chosen without looking at
its judgements, so it may be tested against other runs. What the best parameters for all topics score is beside it, as
the bound that such tuning cannot honestly pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from clir.corpora.qrels import Qrels
from clir.evaluation.judged_ranks import Documents, Values, quick
from clir.evaluation.measures import Measure, aggregate, evaluate, parse
from clir.runs.fusion import READS, check, fuse
from clir.runs.fusion.fusing import combined, shares, side_by_side
from clir.runs.fusion.methods import Evidence, Parameters
from clir.runs.fusion.together import shared_topics
from clir.runs.pairs import picked
from clir.runs.run import Run
from clir.support.errors import UsageError
from clir.support.progress import Progress

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
# Tried in this order, after no cut at all and the usual k: of equally good ones the first is taken.
DEPTHS = (1000, 500, 200, 100, 50, 20)
RRF_K = 60.0
RRF_KS = (100.0, 40.0, 20.0, 10.0, 5.0, 2.0, 1.0, 0.0, 80.0, 150.0, 200.0, 300.0, 500.0, 1000.0)
# Weights of so many runs are on a grid, each a multiple of 1 / steps; of more runs they are walked to.
STEPS = {2: 20, 3: 20, 4: 10}
FACTORS = (0.0, 0.25, 0.5, 0.8, 1.25, 2.0, 4.0)
ROUNDS = 5
# Means that differ by less are equal: sums in another order do.
DIGITS = 12


@dataclass(frozen=True)
class Choice:
    """Parameters of a fusion. None: the method has no such parameter, there is no cut, or weights are equal."""

    depth: int | None = None
    rrf_k: float | None = None
    weights: tuple[float, ...] | None = None

    def options(self) -> dict[str, Any]:
        """As `fuse` takes them."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Fold:
    """Topics that are fused with parameters chosen on the others, where these reach the mean `score`."""

    topics: list[str]
    choice: Choice
    score: float


@dataclass(frozen=True)
class Tuned:
    """What tuning gives.

    `run` is out of fold for every judged topic; topics without judgements are fused with `best`. `best` is the choice
    on all judged topics, `untuned` the method's defaults. `values[name]` has one value of the measure per judged topic,
    in the order of the qrels, for the names `out of fold`, `in sample` (with `best`) and `untuned`.
    """

    run: Run
    folds: list[Fold]
    best: Choice
    untuned: Choice
    measure: str
    values: dict[str, Floats]

    def means(self) -> dict[str, float]:
        """The mean over topics of each of `values`, or the sum where the measure counts."""
        return {name: aggregate(self.measure, values) for name, values in self.values.items()}

    def as_dict(self) -> dict[str, Any]:
        """For a manifest: the measure, the means, the choice for each fold with its topics, and the best one."""
        folds = [{"topics": fold.topics, **asdict(fold.choice), "training score": fold.score} for fold in self.folds]
        return {"measure": self.measure, "means": self.means(), "folds": folds, "in sample": asdict(self.best)}


def tune(
    runs: Sequence[Run],
    qrels: Qrels,
    measure: str | Measure = "AP",
    method: str = "weighted",
    *,
    folds: int = 5,
    seed: int = 0,
    rrf_k: float | None = None,
    weights: Sequence[float] | None = None,
    depth: int | None = None,
    normalization: str = "minmax",
    missing: str = "zero",
    hits: int | None = 1000,
    tag: str | None = None,
) -> Tuned:
    """Tune the fusion of runs by cross-validation over the judged topics.

    Topics are dealt into `folds` at random (`seed`). For each fold the parameters are chosen that have the best mean of
    `measure` on all other folds: `depth` (no cut, 1000, 500, ... 20), the k of `rrf`, the weights of `weighted` (on a
    grid, by .05 for two and three runs and by .1 for four; of more runs, from equal ones on, one at a time). What is
    given is not tuned. Of equally good choices the first counts, and the first has the defaults.

    AP, nDCG, RR, R, P and Success (with a cutoff and `rel`) are quick; any other measure is computed from whole runs,
    once for every choice. The tag is `clir-<method>-tuned` if None. Raises UsageError on wrong parameters, on fewer
    judged topics than folds, and where nothing is left to be tuned.
    """
    wanted = parse([measure])[0] if isinstance(measure, str) else measure
    fixed: dict[str, Any] = {"normalization": normalization, "missing": missing, "hits": hits}
    if normalization == "over-topics":
        raise UsageError(
            "normalization over-topics needs all topics at once, but tuning works on parts of them: choose another"
        )
    check(len(runs), method, rrf_k=RRF_K if rrf_k is None else rrf_k, weights=weights, depth=depth, **fixed)
    if seed < 0:
        raise UsageError(f"seed must be at least 0, not {seed}")
    judged = qrels.topics
    found = sum(any(qid in run for run in runs) for qid in judged)
    if found < 2:
        raise UsageError(
            "tuning needs two judged topics at least, one to choose on and one to use the choice on, and the runs have "
            f"{found or 'none'} of the qrels' {len(judged)}: fuse without tuning"
        )
    if not 2 <= folds <= len(judged):
        raise UsageError(f"{folds} folds for {len(judged)} judged topics: give from 2 to {len(judged)} folds")
    space = Space.of(runs, method, rrf_k, weights, depth)
    field = Field([run.only(judged) for run in runs], qrels, wanted, method, fixed)
    parts = dealt(len(judged), folds, seed)
    everything = np.arange(len(judged))
    (_, best), *chosen = _best(field, space, [everything, *(np.setdiff1d(everything, part) for part in parts)])
    out = [Fold([judged[at] for at in part], own, score) for part, (score, own) in zip(parts, chosen, strict=True)]

    def fused(some: Sequence[Run], choice: Choice) -> Run:
        return fuse(some, method, **choice.options(), **fixed, tag=f"clir-{method}-tuned" if tag is None else tag)

    run = _out_of_fold(runs, out, best, fused)
    whole = {"out of fold": run, "in sample": fused(runs, best), "untuned": fused(runs, space.first)}
    values = {name: evaluate(one, qrels, [wanted]).values(str(wanted)) for name, one in whole.items()}
    return Tuned(run, out, best, space.first, str(wanted), values)


@dataclass(frozen=True)
class Space:
    """The choices there are: at every depth a grid, or a walk from equal weights where a grid would be too large."""

    depths: tuple[int | None, ...]
    grid: tuple[Choice, ...]
    walkers: int

    @property
    def first(self) -> Choice:
        """The defaults, and what is given."""
        return replace(self.grid[0], depth=self.depths[0])

    @classmethod
    def of(
        cls, runs: Sequence[Run], method: str, rrf_k: float | None, weights: Sequence[float] | None, depth: int | None
    ) -> Space:
        """What is left to be tuned where these are given. Raises UsageError if that is nothing."""
        longest = max(int(run.lengths.max(initial=0)) for run in runs)
        depths = (None, *(cut for cut in DEPTHS if cut < longest)) if depth is None else (depth,)
        grid, walkers = [Choice()], 0
        if "rrf_k" in READS[method]:
            grid = [Choice(rrf_k=k) for k in ((RRF_K, *RRF_KS) if rrf_k is None else (rrf_k,))]
        if "weights" in READS[method] and weights is not None:
            grid = [Choice(weights=tuple(weights))]
        elif "weights" in READS[method] and len(runs) in STEPS:
            grid += [Choice(weights=point) for point in simplex(len(runs), STEPS[len(runs)])]
        elif "weights" in READS[method]:
            walkers = len(runs)
        if len(depths) * len(grid) == 1 and not walkers:
            raise UsageError(f"nothing to tune: every parameter of method {method} is given, or it has none")
        return cls(depths, tuple(grid), walkers)

    def best(self, depth: int | None, score: Callable[[Choice], float]) -> tuple[float, Choice]:
        """The choice at a depth with the highest score, and that score; of equal ones the first."""
        found = max(((score(choice), choice) for choice in self._at(depth)), key=lambda pair: pair[0])
        for _ in range(ROUNDS if self.walkers else 0):
            better = found
            for run, factor in itertools.product(range(self.walkers), FACTORS):
                choice = replace(better[1], weights=_scaled(better[1].weights, run, factor, self.walkers))
                if choice.weights and (own := score(choice)) > better[0]:
                    better = own, choice
            if better == found:
                break
            found = better
        return found

    def _at(self, depth: int | None) -> Iterator[Choice]:
        return (replace(choice, depth=depth) for choice in self.grid)


class Field:
    """The measure of every judged topic, under any choice, for the runs of the judged topics."""

    def __init__(self, runs: Sequence[Run], qrels: Qrels, measure: Measure, method: str, fixed: dict[str, Any]) -> None:
        self.runs, self.qrels, self.measure, self.method, self.fixed = runs, qrels, measure, method, fixed
        self._place = {qid: at for at, qid in enumerate(qrels.topics)}
        self._judged = qrels.as_dict()

    def at(self, depth: int | None) -> Callable[[Choice], Floats]:
        """A function from a choice of this depth to one value per judged topic; it remembers what it has computed."""
        measure = quick(self.measure)
        compute = self._slowly if measure is None else self._quickly(measure, depth)
        known: dict[Choice, Floats] = {}

        def values(choice: Choice) -> Floats:
            if choice not in known:
                known[choice] = compute(choice)
            return known[choice]

        return values

    def _slowly(self, choice: Choice) -> Floats:
        run = fuse(self.runs, self.method, **choice.options(), **self.fixed)
        return evaluate(run, self.qrels, [self.measure]).values(str(self.measure))

    def _quickly(self, measure: Values, depth: int | None) -> Callable[[Choice], Floats]:
        options = {name: self.fixed[name] for name in ("normalization", "missing")}
        together = side_by_side(self.runs, self.method, **options, depth=depth)
        pools: list[tuple[Evidence, Documents, Integers]] = []
        for block in together.blocks():
            evidence, docids, rows = together.evidence(block)
            topics = together.topics[block.start : block.stop]
            documents = Documents.of(evidence.topic, picked(docids, rows), [self._judged[qid] for qid in topics])
            pools.append((evidence, documents, np.array([self._place[qid] for qid in topics])))

        def values(choice: Choice) -> Floats:
            parameters = Parameters(choice.rrf_k or 0.0, shares(len(self.runs), choice.weights))
            found = np.zeros(len(self._place))
            for evidence, documents, places in pools:
                found[places] = measure(
                    documents.ranks(combined(evidence, self.method, parameters), self.fixed["hits"])
                )
            return found

        return values


def dealt(topics: int, folds: int, seed: int) -> list[Integers]:
    """The numbers of `topics` topics in `folds` parts of like size, at random; each part rises."""
    order = np.random.default_rng(seed).permutation(topics)
    return [np.sort(part) for part in np.array_split(order, folds)]


def simplex(runs: int, steps: int) -> list[tuple[float, ...]]:
    """All weights of `runs` runs that are multiples of 1 / steps and sum to 1."""
    return [
        tuple((high - low - 1) / steps for low, high in itertools.pairwise((-1, *bars, steps + runs - 1)))
        for bars in itertools.combinations(range(steps + runs - 1), runs - 1)
    ]


def _scaled(weights: tuple[float, ...] | None, run: int, factor: float, runs: int) -> tuple[float, ...] | None:
    """The weights with one of them scaled, summing to 1 again; None if they would all be 0."""
    scaled = list(weights or (1 / runs,) * runs)
    scaled[run] *= factor
    total = sum(scaled)
    return tuple(round(weight / total, 6) for weight in scaled) if total > 0 else None


def _best(field: Field, space: Space, training: Sequence[Integers]) -> list[tuple[float, Choice]]:
    """For each set of topics the choice with the best mean over them, and that mean."""
    found: list[tuple[float, Choice]] = []
    with Progress("tuning", len(space.depths), "depths") as progress:
        for depth in space.depths:
            values = field.at(depth)
            here = [space.best(depth, _mean(values, topics)) for topics in training]
            found = [max(pair, key=lambda own: own[0]) for pair in zip(found, here, strict=True)] if found else here
            progress.advance()
    return found


def _mean(values: Callable[[Choice], Floats], topics: Integers) -> Callable[[Choice], float]:
    return lambda choice: round(float(values(choice)[topics].mean()), DIGITS)


def _out_of_fold(
    runs: Sequence[Run], folds: Sequence[Fold], best: Choice, fused: Callable[[Sequence[Run], Choice], Run]
) -> Run:
    """Every fold's topics fused with its own choice, all others with the best one; topics in the usual order."""
    order = shared_topics(runs)
    judged = {qid for fold in folds for qid in fold.topics}
    parts = [*((fold.topics, fold.choice) for fold in folds), ([qid for qid in order if qid not in judged], best)]
    pieces = [fused([run.only(topics) for run in runs], choice) for topics, choice in parts]
    number = pl.DataFrame({"qid": order, "topic": range(len(order))}, schema={"qid": pl.String, "topic": pl.Int64})
    frame = pl.concat([piece.frame for piece in pieces]).join(number, on="qid", how="left", maintain_order="left")
    return Run(frame.sort("topic", maintain_order=True).drop("topic"), pieces[0].tag)

"""Which topics runs have in common, before they are fused: where these are few, their ids may not be the same."""

from __future__ import annotations

from collections.abc import Sequence

from clir.runs.run import Run

# Runs and ids that a message names.
_NAMED = 3


def topic_counts(runs: Sequence[Run]) -> dict[str, int]:
    """How many topics all runs share, how many any of them has, and how many each has, by its number from 1."""
    sets = [set(run.topics) for run in runs]
    counts = {"shared by all runs": len(set.intersection(*sets)), "in any run": len(set.union(*sets))}
    return {**counts, **{f"run {at}": len(topics) for at, topics in enumerate(sets, start=1)}}


def few_shared(names: Sequence[str], runs: Sequence[Run]) -> str | None:
    """A line about runs that share no topic, or fewer than half of all topics; None for any others.

    Of three or more runs, those that share no topic with any other are named.
    """
    counts = topic_counts(runs)
    shared, total = counts["shared by all runs"], counts["in any run"]
    if len(runs) < 2 or 2 * shared >= total:
        return None
    alone = [at for at in range(len(runs)) if not _others(runs, at) & set(runs[at].topics)]
    end = "a topic that not all runs have is ranked by those that have it"
    if 0 < len(alone) < len(runs):
        said = ", ".join(_has(names[at], runs[at].topics) for at in alone[:_NAMED])
        other = next(at for at in range(len(runs)) if at not in alone)
        rest = f"{said}{_more(len(alone))}; {_has(names[other], runs[other].topics)}"
        return f"no topic in common with the other runs: {rest}; {end}"
    share = "no topic is" if not shared else f"{shared:,} of {total:,} topics {'is' if shared == 1 else 'are'}"
    said = ", ".join(_has(name, run.topics) for name, run in list(zip(names, runs, strict=True))[:_NAMED])
    return f"{share} in all runs: {said}{_more(len(runs))}; {end}"


def _others(runs: Sequence[Run], at: int) -> set[str]:
    return {qid for place, run in enumerate(runs) if place != at for qid in run.topics}


def _has(name: str, topics: Sequence[str]) -> str:
    if not topics:
        return f"{name} has none"
    return f"{name} has {len(topics):,} ({' '.join(topics[:_NAMED])}{' ...' if len(topics) > _NAMED else ''})"


def _more(number: int) -> str:
    return f", and {number - _NAMED} more runs" if number > _NAMED else ""

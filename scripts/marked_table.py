"""The scripts' Markdown tables: systems against a baseline, with what differs marked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clir.evaluation.significance import compare

Scores = Mapping[str, float]
"""Every topic's score."""


def print_table(title: str, systems: Mapping[str, Mapping[str, Scores]], baseline: str) -> None:
    """Means over topics, a system a row, what its scores are called a column.

    `+`, `-`: differs from `baseline` (paired t test, p < .05 after Holm over the column).
    """
    columns = list(systems[baseline])
    print(f"\n| {title} | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    cells: dict[str, list[str]] = {name: [] for name in systems}
    for column in columns:
        topics = list(systems[baseline][column])
        values = {name: np.array([found[column][qid] for qid in topics]) for name, found in systems.items()}
        compared = compare(values[baseline], {name: own for name, own in values.items() if name != baseline})
        for name, own in values.items():
            one = compared.get(name)
            mark = "" if one is None or one.adjusted >= 0.05 else "+" if one.difference > 0 else "-"
            cells[name].append(f"{own.mean():.3f}{mark}")
    print(f"| topics | {' | '.join(str(len(systems[baseline][column])) for column in columns)} |")
    for name, row in cells.items():
        print(f"| {name} | {' | '.join(row)} |", flush=True)

"""LaTeX for booktabs: text that is safe in it, and tables of scores."""

from __future__ import annotations

from collections.abc import Sequence

from clir.evaluation.summary import Summary

SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
           "<": r"\textless{}", ">": r"\textgreater{}"}  # fmt: skip


def escaped(text: str) -> str:
    """`text` with every character that LaTeX would take for a command as itself."""
    return "".join(SPECIAL.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)


def number(text: str, *, best: bool = False, mark: str = "") -> str:
    """A number, bold if it is the best, `+` or `-` raised behind it."""
    return (rf"\textbf{{{text}}}" if best else text) + (f"$^{{{mark}}}$" if mark else "")


def booktabs(caption: str, columns: str, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table environment; heading and rows are LaTeX already, the caption is not."""
    heading, *rows = [_protected(row) for row in (heading, *rows)]
    lines = [
        r"\begin{table}", r"\centering", rf"\caption{{{escaped(caption)}}}", rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule", " & ".join(heading) + r" \\", r"\midrule", *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _protected(row: Sequence[str]) -> list[str]:
    """The row, with a first cell that the rule or the line break before it would take for its own option kept off."""
    first, *others = row
    return [f"{{}}{first}" if first.lstrip().startswith(("[", "*")) else first, *others]


def summary_latex(summary: Summary) -> str:
    """Runs down, measures across; best in bold, significance marks, the test in the caption."""
    rows = []
    for run in summary.runs:
        cells = [(summary.cells[run, measure], summary.mark(run, measure)) for measure in summary.measures]
        rows.append([escaped(run), *(number(f"{cell.mean:.4f}", best=cell.best, mark=mark) for cell, mark in cells)])
    caption = f"Means over {summary.topics} topics. {summary.caption}".replace("*: best", "Bold: best").strip()
    heading = ["run", *map(escaped, summary.measures)]
    return booktabs(caption, "l" + "r" * len(summary.measures), heading, rows)

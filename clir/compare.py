"""The door `python -m clir.compare`: losses, budgets, seeds and models against each other, in scores and in FLOPs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clir.support.command import Parser, run_door

if TYPE_CHECKING:
    from clir.experiments.comparison.plan import Plan
    from clir.experiments.comparison.run import Workplace

EXAMPLES = """
python -m clir.compare --recipe encoders/recipes/compare-demo.yaml --output runs/compare-demo
python -m clir.compare --recipe plan.yaml --output runs/swahili --dry-run
python -m clir.compare --recipe plan.yaml --output runs/swahili --tables-only --seeds 1
"""


def parser() -> Parser:
    """The options of this door."""
    parser = Parser(
        "compare",
        "Train a student for every loss, budget and seed of a plan, on the same pairs in the same order, search every\n"
        "collection with each, and tell which wins, by how much, at what cost. Runs what is missing; a killed\n"
        "comparison goes on where it was.",
        EXAMPLES,
    )
    parser.add_argument("--recipe", required=True, metavar="YAML", help="the plan: see docs/compare.md")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="where students, runs, tables and plots lie")
    parser.add_argument("--losses", nargs="+", metavar="NAME", help="only these of the plan's, and its baseline")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="K", help="only these of the plan's")
    parser.add_argument("--dry-run", action="store_true", help="only say what there is to do")
    parser.add_argument("--tables-only", action="store_true", help="train nothing: show the results that are there")
    parser.add_argument(
        "--drop-students", action="store_true",
        help="remove each student when its searches are done, all but its manifest: it is as large as two models",
    )  # fmt: skip
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda")
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads (default: all)")
    parser.add_argument("--json", action="store_true", help="print every number as JSON instead of tables")
    return parser


def work(options: argparse.Namespace) -> None:
    """Run what is missing, then print and write the results."""
    from pathlib import Path

    from clir.support.command import at_least_one, use_threads

    at_least_one(options, "threads")
    use_threads(options.threads)
    from clir.experiments.comparison.plan import read_plan

    plan = read_plan(options.recipe).part(options.losses, options.seeds)
    cells = plan.cells()
    from clir.experiments.comparison.bitext import check_bitext
    from clir.experiments.comparison.run import Workplace, is_done, line_of, run_comparison
    from clir.support.errors import UsageError
    from clir.support.progress import say

    if Path(options.output).exists() and not Path(options.output).is_dir():
        raise UsageError(f"--output {options.output} is a file: name a folder")
    if not options.tables_only:
        check_bitext(plan)
    place = Workplace(Path(options.output), options.device, options.threads, drop_students=options.drop_students)
    if options.dry_run:
        for cell in cells:
            state = "done" if is_done(plan, place, line_of(cell, place)) else "to do"
            print(f"{state}\t{cell.loss}\t{cell.budget.label}\tseed {cell.seed}\t{place.student(cell)}")
        return
    if not options.tables_only:
        for line in run_comparison(plan, place):
            if line.cell:
                say(f"{line.system}, {line.cell.budget.label}, seed {line.cell.seed}: done")
    _tell(plan, place, options)


def _tell(plan: Plan, place: Workplace, options: argparse.Namespace) -> None:
    """Write tables, plots and the page; print the tables, or all numbers as JSON."""
    from pathlib import Path

    from clir.evaluation.tables import show
    from clir.experiments.comparison.bitext import kept_reports
    from clir.experiments.comparison.report import plots, write_report
    from clir.experiments.comparison.results import frame, gather
    from clir.experiments.comparison.tables import grids, latex, legend, terminal_table, write_csv
    from clir.support.errors import ClirError
    from clir.support.files import atomic_file
    from clir.support.manifest import write_manifest

    results = gather(plan, place)
    if not results:
        raise ClirError(f"{place.folder} holds no results of this plan yet: run it without --tables-only first")
    folder, drawn = place.folder, plots(plan, results)
    write_csv(results, folder / "results.csv")
    with atomic_file(folder / "results.tex", "w") as handle:
        handle.write(latex(grids(plan, results), plan))
    for plot in drawn:
        with atomic_file(folder / f"{plot.name}.svg", "w") as handle:
            handle.write(plot.svg)
    text = Path(options.recipe).read_text("utf-8")
    reports = kept_reports(folder)
    write_report(plan, results, drawn, reports, text, folder / "report.html")
    write_manifest(folder, kind="comparison", plan=plan.model_dump(mode="json"), **{"pairs by step": reports})
    if options.json:
        print(frame(results).write_json())
        return
    for grid in grids(plan, results):
        show(terminal_table(grid))
        print()
    print(legend(plan))
    print(f"\n{folder}/: report.html, results.csv, results.tex, {', '.join(plot.name + '.svg' for plot in drawn)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; returns the exit status."""
    return run_door(parser(), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())

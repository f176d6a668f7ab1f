"""Plans: what a YAML file spans, and the one line that says what is wrong with it."""

import math
from pathlib import Path
from typing import Any

import pytest

from clir.distillation.losses import MeanSquaredError, OptimalTransport
from clir.experiments.comparison.plan import Budget, parse_plan, read_plan
from clir.experiments.comparison.results import Result, Row, _baseline
from clir.experiments.comparison.run import Workplace, line_of, made_from, references
from clir.support.errors import UsageError

SMALL: dict[str, Any] = {"teachers": "t", "bitext": "sw=a.tsv", "collections": "demo/sw", "losses": ["ot", "mse"]}


def test_every_loss_gets_every_budget_and_seed_one_seed_after_the_other() -> None:
    plan = parse_plan(SMALL | {"budgets": [{"steps": 4}, {"flops": 1e12, "pairs": 9}], "seeds": [1, 2]}, "here")
    cells = plan.cells()
    assert [(cell.seed, cell.budget.label, cell.loss) for cell in cells[:4]] == [
        (1, "4 steps", "ot"), (1, "4 steps", "mse"),
        (1, "1e+12 FLOPs, 9 pairs", "ot"), (1, "1e+12 FLOPs, 9 pairs", "mse"),
    ]  # fmt: skip
    assert len(cells) == 8 and [cell.seed for cell in cells] == [1] * 4 + [2] * 4
    assert cells[0].recipe.loss == OptimalTransport() and cells[1].recipe.loss == MeanSquaredError()
    assert (cells[3].recipe.flops, cells[3].recipe.pairs_per_language, cells[3].recipe.steps) == (1e12, 9, None)
    assert len({cell.folder for cell in cells}) == 8


def test_scores_are_of_whoever_read_the_documents(minilm: Path) -> None:
    plan = parse_plan(SMALL | {"teachers": str(minilm), "documents_by": "student"}, "here")
    reference = references(plan)[0]
    taught = plan.model_copy(update={"documents_by": "teacher"})
    assert made_from(plan, reference) == f"{made_from(taught, reference)}, documents by student"
    with pytest.raises(UsageError, match=r"documents_by: .*'teacher' or 'student'"):
        parse_plan(SMALL | {"documents_by": "pupil"}, "here")


def test_a_part_has_the_baseline_with_it() -> None:
    whole = parse_plan(SMALL | {"losses": ["ot", "mse", "cosine"], "baseline": "mse", "seeds": [1, 2, 3]}, "here")
    part = whole.part(["cosine"], [3, 1])
    assert (list(part.losses), part.seeds) == (["mse", "cosine"], (1, 3))
    assert {cell.folder for cell in part.cells()} < {cell.folder for cell in whole.cells()}
    assert whole.part() == whole
    with pytest.raises(UsageError, match=r"^unknown loss of this plan 'cosin'; did you mean 'cosine'"):
        whole.part(["cosin"])
    with pytest.raises(UsageError, match=r"^unknown seed of this plan '4' \(known: 1, 2, 3\)"):
        whole.part(seeds=[4])


def test_models_multiply_and_students_start_as_their_teacher() -> None:
    alone = parse_plan(SMALL | {"teachers": ["t", "u"]}, "here").cells()
    assert {(cell.recipe.teacher, cell.recipe.student) for cell in alone} == {("t", "t"), ("u", "u")}
    starts = parse_plan(SMALL | {"students": ["m"]}, "here").cells()
    assert {(cell.recipe.teacher, cell.recipe.student) for cell in starts} == {("t", "m")}


def test_the_training_of_all_is_part_of_every_recipe() -> None:
    (first, _) = parse_plan(SMALL | {"training": {"batch_size": 7}}, "here").cells()
    assert first.recipe.batch_size == 7


def test_a_folder_name_is_one_whatever_a_loss_is_called() -> None:
    plan = parse_plan(SMALL | {"losses": {"a/b & c": "ot"}, "teachers": "models/some-model"}, "here")
    assert plan.cells()[0].folder == "some-model--a-b-c--1-epochs--seed-1"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"loses": ["ot"]}, "here: unknown key 'loses'; a comparison has teachers, students, losses"),
        ({"losses": {"x": {"name": "ot", "epsilom": 1}}}, "here: unknown key 'losses.x.epsilom'"),
        ({"losses": []}, "here: losses: dictionary should have at least 1 item"),
        (
            {"losses": {"oracle": "ot"}},
            "here: losses: oracle is the name of a line that every comparison has: choose another name",
        ),
        ({"training": {"seed": 3}}, "here: training: seed is set by the comparison itself: remove it there"),
        ({"losses": [{"name": "ot"}]}, "here: losses: {'name': 'ot'} needs a name of its own"),
        ({"losses": ["mse", "mse"]}, "here: losses: a loss is there twice"),
        ({"budgets": [{"epochs": float("inf")}]}, "here: budgets.0.epochs: input should be a finite number"),
        ({"baseline": "BM25"}, "here: baseline: BM25 is no loss of this comparison, nor undistilled or oracle"),
        ({"baseline": "cosine"}, "here: baseline: cosine is no loss of this comparison, nor undistilled"),
        ({"seeds": [1, 1]}, "here: seeds: the same value is there twice"),
        ({"budgets": [{"steps": 3, "flops": 1e9}]}, "here: budgets.0: a budget is steps, epochs or flops"),
        ({"bitext": "sw=$NO_SUCH_FOLDER/a.tsv"}, "here: bitext: sw=$NO_SUCH_FOLDER/a.tsv names a variable"),
        ({"search": "sparse"}, "here: search.0: input should be 'dense' or 'late'"),
    ],
)
def test_what_is_wrong_is_one_line(more: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_plan(SMALL | more, "here")
    assert str(raised.value).startswith(message)


def test_a_key_that_recipes_do_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match="training: unknown recipe key 'batchsize'; did you mean 'batch_size'"):
        parse_plan(SMALL | {"training": {"batchsize": 7}}, "here").cells()


def test_names_that_would_share_a_folder_are_refused() -> None:
    with pytest.raises(UsageError, match=r"'a b' .* and 'a-b' .* would lie in one folder"):
        parse_plan(SMALL | {"losses": {"a b": "ot", "a-b": "mse"}}, "here").cells()
    with pytest.raises(UsageError, match=r"\(1 epochs; x/one, .* and .* \(1 epochs; y/one, .* in one folder"):
        parse_plan(SMALL | {"losses": "ot", "teachers": ["x/one", "y/one"], "students": None}, "here").cells()
    budgets = [{"flops": 1.0001e15}, {"flops": 1.0002e15}]
    assert len({cell.folder for cell in parse_plan(SMALL | {"losses": "ot", "budgets": budgets}, "here").cells()}) == 2


def test_measures_go_by_their_own_names() -> None:
    plan = parse_plan(SMALL | {"measures": ["MAP", "AP nDCG@10", "Recall@100"]}, "here")
    assert plan.measures == ("AP", "nDCG@10", "R@100")
    with pytest.raises(UsageError, match="unknown measure 'nope'"):
        parse_plan(SMALL | {"measures": ["nope"]}, "here")


def test_a_loss_is_tested_against_the_baseline_of_the_same_teacher(tmp_path: Path) -> None:
    plan = parse_plan(SMALL | {"teachers": ["t", "u"], "students": "m", "baseline": "mse", "bm25": False}, "here")
    trained = [
        Row(cell.loss, cell.loss, cell.budget.label, "m", (line_of(cell, Workplace(tmp_path)),))
        for cell in plan.cells()
    ]
    tested = {(row.name, row.teacher): _baseline(plan, row, trained) for row in trained}
    for (name, teacher), baseline in tested.items():
        assert (baseline is None) == (name == "mse")
        assert baseline is None or (baseline.name, baseline.teacher) == ("mse", teacher)


def test_one_topic_has_no_mark() -> None:
    row = Row("ot", "ot", "", "m", ())
    alone = Result(row, "demo/sw", "dense", "AP", 0.5, 0.5, 0.5, (0.5,), 1, 0.1, math.nan, math.nan)
    assert alone.mark == ""


def test_collections_go_by_their_own_ids() -> None:
    assert parse_plan(SMALL | {"collections": ["afriqa/sw/test"]}, "here").collections == ("afriqa/swa/test",)


def test_plans_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("teachers: t\nbitext: sw=a.tsv\ncollections: [demo/sw]\nlosses: [ot]\n")
    assert read_plan(tmp_path / "p.yaml").budgets == (Budget(),)
    (tmp_path / "q.yaml").write_text("teachers: t\n")
    with pytest.raises(UsageError, match=r"q\.yaml: losses: field required"):
        read_plan(tmp_path / "q.yaml")


def test_folders_of_bitext_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_BITEXT", "/data/bitext")
    assert parse_plan(SMALL | {"bitext": "sw=$MY_BITEXT/a.tsv"}, "here").bitext == ("sw=/data/bitext/a.tsv",)

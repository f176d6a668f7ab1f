"""Recipes: what YAML and options say is what is trained, and a slip is refused with its place."""

from pathlib import Path
from typing import Any

import pytest

from clir.distillation.losses import (
    AlignedMSE,
    Contrastive,
    MeanSquaredError,
    Norm,
    OptimalTransport,
    Relevance,
    SinkhornDivergence,
    Term,
    TokenContrastive,
    WeightedSum,
    default_loss,
)
from clir.distillation.recipe import Recipe, parse_recipe, read_recipe, with_loss_options
from clir.distillation.transport import Exact, Greedy, Partial, Proximal, Sinkhorn
from clir.support.errors import UsageError

CHECKOUT = Path(__file__).resolve().parents[2]
YAML = """
teacher: models/t
student: models/s
loss:
  name: ot
  solver: {name: sinkhorn, epsilon: 0.02, tolerance: 0.01}
  marginals: norm
steps: 300
learning_rate: 5.0e-5
"""
WRITTEN = OptimalTransport(solver=Sinkhorn(epsilon=0.02, tolerance=0.01), marginals="norm")
LIST = """
teacher: models/t
loss:
  - name: ot
    weight: 2
    solver: ipot
  - contrastive
  - {name: norm, weight: 0.5}
"""
LISTED = WeightedSum(
    terms=(
        Term(weight=2, loss=OptimalTransport(solver=Proximal())),
        Term(loss=Contrastive()),
        Term(weight=0.5, loss=Norm()),
    )
)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(YAML)
    return path


@pytest.fixture
def several(tmp_path: Path) -> Path:
    path = tmp_path / "several.yaml"
    path.write_text(LIST)
    return path


def of(loss: Any) -> Recipe:
    return Recipe(teacher="t", student="t", loss=loss)


def test_a_file_is_read_over_the_defaults(recipe: Path) -> None:
    read = read_recipe(recipe, {})
    assert read.loss == WRITTEN
    assert (read.teacher, read.student, read.steps, read.learning_rate) == ("models/t", "models/s", 300, 5e-5)
    assert (read.batch_size, read.seed, read.head, read.accumulation) == (32, 1, "auto", 1)


def test_options_override_the_file_and_absent_ones_do_not(recipe: Path) -> None:
    read = read_recipe(recipe, {"steps": 7, "teacher": "other", "batch_size": None})
    assert (read.steps, read.teacher, read.batch_size) == (7, "other", 32)
    assert read.loss == WRITTEN


def test_a_length_overrides_the_files_whatever_its_key(tmp_path: Path) -> None:
    for file, given in (("steps: 5", {"epochs": 3.0}), ("flops: 1.0e+9", {"steps": 10}), ("epochs: 2", {"steps": 7})):
        (tmp_path / "r.yaml").write_text(f"teacher: t\n{file}\n")
        made = read_recipe(tmp_path / "r.yaml", given)
        lengths = {"steps": made.steps, "flops": made.flops, "epochs": made.epochs}
        assert lengths == {"steps": None, "flops": None, "epochs": 1.0} | given


def test_a_student_starts_as_its_teacher_if_it_is_not_said(several: Path) -> None:
    assert read_recipe(several, {}).student == "models/t"
    assert read_recipe(several, {"teacher": "other"}).student == "other"
    assert read_recipe(several, {"student": "own"}).student == "own"


def test_a_list_of_losses_is_their_weighted_sum(several: Path) -> None:
    assert read_recipe(several, {}).loss == LISTED


def test_a_loss_by_name_keeps_the_files_options_for_the_same_loss_only(recipe: Path, several: Path) -> None:
    assert read_recipe(recipe, {"loss": "ot"}).loss == WRITTEN
    assert read_recipe(recipe, {"loss": "mse"}).loss == MeanSquaredError()
    assert read_recipe(several, {"loss": "ot+contrastive+norm"}).loss == LISTED
    fresh = WeightedSum(terms=(Term(loss=OptimalTransport()), Term(loss=Contrastive())))
    for path in (recipe, several):
        assert read_recipe(path, {"loss": "ot+contrastive"}).loss == fresh
    assert read_recipe(several, {"loss": "ot"}).loss == OptimalTransport()


def test_a_loss_may_be_just_a_name_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("teacher: t\nloss: contrastive\n")
    assert read_recipe(tmp_path / "r.yaml", {}).loss == Contrastive()
    (tmp_path / "r.yaml").write_text("teacher: t\nloss: ot + mse\n".replace(" + ", "+"))
    assert read_recipe(tmp_path / "r.yaml", {}).loss == WeightedSum(
        terms=(Term(loss=OptimalTransport()), Term(loss=MeanSquaredError()))
    )


def test_a_list_of_one_is_that_loss_with_its_weight() -> None:
    assert of([{"name": "mse", "weight": 3}]).loss == WeightedSum(terms=(Term(weight=3, loss=MeanSquaredError()),))


def test_a_recipe_is_what_its_manifest_says() -> None:
    for loss in (WRITTEN, LISTED, SinkhornDivergence(), AlignedMSE(solver=Partial(mass=0.5))):
        assert Recipe.model_validate(of(loss).model_dump(mode="json")) == of(loss)


def test_without_a_file_options_are_the_recipe() -> None:
    read = read_recipe(None, {"teacher": "t", "student": "t", "loss": "contrastive"})
    assert read == Recipe(teacher="t", student="t", loss=Contrastive())


def test_loss_options_are_changed_and_checked() -> None:
    recipe = of("ot")
    changed = with_loss_options(recipe, {"epsilon": 0.5, "iterations": None, "marginals": "idf"})
    assert changed.loss == OptimalTransport(solver=Sinkhorn(epsilon=0.5), marginals="idf")
    assert with_loss_options(recipe, {}) == recipe
    # An option may be turned off: transport centres states unless told not to.
    assert recipe.loss == OptimalTransport(centred=True)
    assert with_loss_options(recipe, {"centred": False}).loss == OptimalTransport(centred=False)
    with pytest.raises(UsageError, match="options: this loss has no option 'temperature'"):
        with_loss_options(of("mse"), {"temperature": 0.1})
    with pytest.raises(UsageError, match=r"options: loss\.solver\.epsilon: input should be greater than 0"):
        with_loss_options(recipe, {"epsilon": -1.0})
    with pytest.raises(UsageError, match="options: this loss has no option 'beta'"):
        with_loss_options(recipe, {"beta": 1.0})


def test_another_solver_comes_with_its_defaults_and_takes_the_other_options() -> None:
    written = of(WRITTEN)
    assert with_loss_options(written, {"solver": "exact"}).loss == OptimalTransport(solver=Exact(), marginals="norm")
    changed = with_loss_options(written, {"beta": 0.3, "inner": 2, "solver": "ipot"}).loss
    assert changed == OptimalTransport(solver=Proximal(beta=0.3, inner=2), marginals="norm")
    with pytest.raises(UsageError, match="options: this loss has no option 'epsilon'"):
        with_loss_options(written, {"solver": "greedy", "epsilon": 0.1})
    with pytest.raises(UsageError, match=r"unknown solver 'sinkhor'; did you mean 'sinkhorn'\?"):
        with_loss_options(written, {"solver": "sinkhor"})
    with pytest.raises(UsageError, match="options: this loss has no option 'solver'"):
        with_loss_options(of("mse"), {"solver": "exact"})


def test_options_go_to_every_term_that_has_them() -> None:
    recipe = of(
        ["ot", {"name": "contrastive", "weight": 0.1}, {"name": "token-contrastive", "solver": "greedy"}, "mse"]
    )
    changed = with_loss_options(recipe, {"temperature": 0.3, "epsilon": 0.7, "queue": 9})
    assert changed.loss == WeightedSum(
        terms=(
            Term(loss=OptimalTransport(solver=Sinkhorn(epsilon=0.7))),
            Term(weight=0.1, loss=Contrastive(temperature=0.3, queue=9)),
            Term(loss=TokenContrastive(solver=Greedy(), temperature=0.3)),
            Term(loss=MeanSquaredError()),
        )
    )
    with pytest.raises(UsageError, match="options: this loss has no option 'blur'"):
        with_loss_options(recipe, {"blur": 0.1})
    with pytest.raises(UsageError, match=r"options: loss\.1\.temperature: input should be greater than 0"):
        with_loss_options(recipe, {"queue": 2, "temperature": 0})


def test_weights_are_those_of_the_terms_in_their_order() -> None:
    recipe = of("ot+contrastive")
    assert isinstance(recipe.loss, WeightedSum)
    changed = with_loss_options(recipe, {}, weights=[1, 0.25]).loss
    assert isinstance(changed, WeightedSum) and [term.weight for term in changed.terms] == [1, 0.25]
    assert [term.loss for term in changed.terms] == [term.loss for term in recipe.loss.terms]
    with pytest.raises(UsageError, match="weights: 3 given for 2 of loss"):
        with_loss_options(recipe, {}, weights=[1, 2, 3])
    with pytest.raises(UsageError, match="weights: 1 given for 1 of loss"):
        with_loss_options(of("ot"), {}, weights=[2])
    with pytest.raises(UsageError, match=r"options: loss\.0\.weight: input should be greater than 0"):
        with_loss_options(recipe, {}, weights=[0, 1])


def test_relevance_needs_passages() -> None:
    for loss in ("relevance", "ot+relevance", [{"name": "relevance", "weight": 2}]):
        with pytest.raises(UsageError, match=r"r\.yaml: .*the relevance loss needs passages \(corpus, count, scorer\)"):
            parse_recipe({"teacher": "t", "loss": loss}, "r.yaml")
    given = parse_recipe({"teacher": "t", "loss": "ot+relevance", "passages": {"corpus": "news.jsonl"}}, "r.yaml")
    assert given.passages is not None and (given.passages.count, given.passages.scorer) == (16, "teacher")
    assert isinstance(given.loss, WeightedSum) and given.loss.terms[1].loss == Relevance()


@pytest.mark.parametrize(
    ("options", "batches"),
    [
        ({}, 31), ({"epochs": 2.5}, 78), ({"epochs": 0.001}, 1), ({"steps": 7}, 7), ({"steps": 7, "epochs": 9}, 7),
        ({"steps": 7, "accumulation": 3}, 21), ({"accumulation": 4}, 32), ({"accumulation": 4, "epochs": 0.001}, 4),
        ({"batch_size": 100}, 10),
    ],
)  # fmt: skip
def test_how_many_batches_a_student_sees(options: dict[str, Any], batches: int) -> None:
    # Of 1,000 pairs and, if not said, 32 a batch.
    assert Recipe(teacher="t", student="t", **options).batches(1000) == batches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat: 1", r"r\.yaml: unknown recipe key 'learning_rat'; did you mean 'learning_rate'\?"),
        ("loss: {name: ot, epsilon: 1}", r"r\.yaml: this loss has no option 'epsilon'$"),
        (
            "loss: {name: ot, solver: {name: sinkhorn, epsilom: 1}}",
            r"r\.yaml: this loss has no option 'solver\.epsilom'$",
        ),
        ("loss: {name: ot, solver: {name: exact, epsilon: 1}}", r"r\.yaml: this loss has no option 'solver\.epsilon'$"),
        ("loss: {name: ot, solver: simplex}", r"r\.yaml: loss\.solver: .*'simplex'"),
        ("loss: {name: ot, solver: {epsilon: 1}}", r"r\.yaml: loss\.solver: unable to extract tag"),
        ("loss: {name: ot, solver: {name: ipot, inner: 0}}", r"r\.yaml: loss\.solver\.inner: input should be greater"),
        ("loss: [mse, {name: ot, blur: 1}]", r"r\.yaml: this loss has no option '1\.blur'$"),
        (
            "loss: [mse, {name: ot, solver: {name: partial, mass: 2}}]",
            r"r\.yaml: loss\.1\.solver\.mass: input should be",
        ),
        ("loss: [mse, {name: ot, weight: -1}]", r"r\.yaml: loss\.1\.weight: input should be greater than 0"),
        ("loss: [mse, {name: wasserstein}]", r"r\.yaml: loss\.1: .*'wasserstein'"),
        ("loss: [mse, [ot]]", r"r\.yaml: loss\.1: "),
        ("loss: []", r"r\.yaml: loss: tuple should have at least 1 item"),
        ("loss: ot+wasserstein", r"r\.yaml: loss\.1: .*'wasserstein'"),
        ("loss: {name: wasserstein}", r"r\.yaml: loss: .*'wasserstein'"),
        ("loss: {epsilon: 1}", r"r\.yaml: loss: unable to extract tag"),
        ("loss: 3", r"r\.yaml: loss: "),
        ("loss: relevance", r"r\.yaml: .*the relevance loss needs passages"),
        ("passages: {corpus: c, count: 1}", r"r\.yaml: passages\.count: input should be greater than or equal to 2"),
        ("steps: many", r"r\.yaml: steps: input should be a valid integer"),
        ("epochs: .inf", r"r\.yaml: epochs: input should be a finite number"),
        ("loss: [{name: mse, weight: .nan}]", r"r\.yaml: loss\.0\.weight: input should be"),
        ("loss: ot\nloss: mse", r"r\.yaml:4: not YAML: the key 'loss' is there twice"),
        ("early_stopping: {by: bitext, every: 5, every: 6}", r"r\.yaml:3: not YAML: the key 'every' is there twice"),
        ("steps: 0", r"r\.yaml: steps: input should be greater than or equal to 1"),
        ("accumulation: 0", r"r\.yaml: accumulation: input should be greater than or equal to 1"),
        ("english_replay: 1.5", r"r\.yaml: english_replay: input should be less than or equal to 1"),
        ("freeze_layers: -1", r"r\.yaml: freeze_layers: input should be greater than or equal to 0"),
        ("schedule: none", r"r\.yaml: schedule: input should be 'linear', 'cosine' or 'constant_with_warmup'"),
        ("batch_size: 2.5", r"r\.yaml: batch_size: "),
        ("head: quadratic", r"r\.yaml: head: input should be 'auto', 'none' or 'linear'"),
        ("seed: -1", r"r\.yaml: seed: input should be greater than or equal to 0"),
        ("seed: [", r"r\.yaml:4: not YAML: "),
        ("seed: !!python/object:os.system x", r"r\.yaml:3: not YAML: "),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.yaml").write_text("teacher: t\nstudent: s\n" + text + "\n")
    with pytest.raises(UsageError, match=message) as caught:
        read_recipe(tmp_path / "r.yaml", {})
    assert "\n" not in str(caught.value)


def test_what_is_no_recipe_at_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="recipe not found"):
        read_recipe(tmp_path / "nowhere.yaml", {})
    for text in ("", "- teacher\n", "teacher\n"):
        (tmp_path / "r.yaml").write_text(text)
        with pytest.raises(UsageError, match="is not a recipe: it must be keys and values"):
            read_recipe(tmp_path / "r.yaml", {})
    with pytest.raises(UsageError, match="options: teacher: field required"):
        read_recipe(None, {"student": "s"})
    for name in ("optical", "ot+optical"):
        with pytest.raises(UsageError, match=r"unknown loss 'optical' \(known: ot, sinkhorn-divergence, mse, "):
            read_recipe(None, {"teacher": "t", "student": "s", "loss": name})


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2}, {"loss": OptimalTransport(solver=Sinkhorn(epsilon=0.2))},
        {"loss": OptimalTransport(solver=Exact())}, {"shuffle_targets": True}, {"accumulation": 2},
        {"english_replay": 0.5}, {"freeze_layers": 1},
    ],
)  # fmt: skip
def test_the_fingerprint_depends_on_recipe_and_data(change: dict[str, Any]) -> None:
    recipe = Recipe(teacher="t", student="t")
    assert recipe.fingerprint({"pairs": "a"}) == Recipe(teacher="t", student="t").fingerprint({"pairs": "a"})
    assert recipe.fingerprint({"pairs": "a"}) != recipe.fingerprint({"pairs": "b"})
    assert recipe.fingerprint({"pairs": "a"}) != recipe.model_copy(update=change).fingerprint({"pairs": "a"})


def test_part_of_early_stopping_is_overridden(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("teacher: t\nearly_stopping: {by: afriqa/ha/dev, every: 7}\n")
    stopping = read_recipe(tmp_path / "r.yaml", {"early_stopping": {"every": 9}}).early_stopping
    assert stopping is not None and (stopping.by, stopping.every, stopping.patience) == ("afriqa/ha/dev", 9, 3)


def test_the_advised_recipe_is_the_default() -> None:
    advised = read_recipe(CHECKOUT / "encoders" / "recipes" / "ot-token-contrastive.yaml", {})
    assert advised.loss == default_loss() == Recipe(teacher="t", student="t").loss
    assert advised == read_recipe(None, {"teacher": advised.teacher})

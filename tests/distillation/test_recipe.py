"""Recipes: what YAML and options say is what is trained, and a slip is refused with its place."""

from pathlib import Path
from typing import Any

import pytest

from clir.distillation.losses import Contrastive, MeanSquaredError, OptimalTransport
from clir.distillation.recipe import Recipe, read_recipe, with_loss_options
from clir.support.errors import UsageError

YAML = """
teacher: models/t
student: models/s
loss: {name: ot, epsilon: 0.02, sentence_term: mse}
steps: 300
learning_rate: 5.0e-5
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(YAML)
    return path


def test_a_file_is_read_over_the_defaults(recipe: Path) -> None:
    read = read_recipe(recipe, {})
    assert read.loss == OptimalTransport(epsilon=0.02, sentence_term="mse")
    assert (read.teacher, read.student, read.steps, read.learning_rate) == ("models/t", "models/s", 300, 5e-5)
    assert (read.batch_size, read.seed, read.head) == (32, 1, "auto")


def test_options_override_the_file_and_absent_ones_do_not(recipe: Path) -> None:
    read = read_recipe(recipe, {"steps": 7, "teacher": "other", "batch_size": None})
    assert (read.steps, read.teacher, read.batch_size) == (7, "other", 32)
    assert read.loss == OptimalTransport(epsilon=0.02, sentence_term="mse")


def test_a_loss_by_name_keeps_the_files_options_for_the_same_loss_only(recipe: Path) -> None:
    assert read_recipe(recipe, {"loss": "ot"}).loss == OptimalTransport(epsilon=0.02, sentence_term="mse")
    assert read_recipe(recipe, {"loss": "mse"}).loss == MeanSquaredError()


def test_a_loss_may_be_just_a_name_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("teacher: t\nstudent: s\nloss: contrastive\n")
    assert read_recipe(tmp_path / "r.yaml", {}).loss == Contrastive()


def test_without_a_file_options_are_the_recipe() -> None:
    read = read_recipe(None, {"teacher": "t", "student": "t", "loss": "contrastive"})
    assert read == Recipe(teacher="t", student="t", loss=Contrastive())


def test_loss_options_are_changed_and_checked() -> None:
    recipe = Recipe(teacher="t", student="t")
    assert with_loss_options(recipe, {"epsilon": 0.5, "iterations": None}).loss == OptimalTransport(epsilon=0.5)
    with pytest.raises(UsageError, match="options: this loss has no option 'temperature'"):
        with_loss_options(recipe.model_copy(update={"loss": MeanSquaredError()}), {"temperature": 0.1})
    with pytest.raises(UsageError, match=r"options: loss\.epsilon: input should be greater than 0"):
        with_loss_options(recipe, {"epsilon": -1.0})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat: 1", r"r\.yaml: unknown recipe key 'learning_rat'; did you mean 'learning_rate'\?"),
        ("loss: {name: ot, epsilom: 1}", r"r\.yaml: this loss has no option 'epsilom'"),
        ("loss: {name: wasserstein}", r"r\.yaml: loss: .*'wasserstein'"),
        ("loss: {epsilon: 1}", r"r\.yaml: loss: unable to extract tag"),
        ("loss: 3", r"r\.yaml: loss: "),
        ("steps: many", r"r\.yaml: steps: input should be a valid integer"),
        ("steps: 0", r"r\.yaml: steps: input should be greater than or equal to 1"),
        ("batch_size: 2.5", r"r\.yaml: batch_size: "),
        ("head: quadratic", r"r\.yaml: head: input should be 'auto', 'none' or 'linear'"),
        ("seed: [", r"r\.yaml is not YAML: "),
        ("seed: !!python/object:os.system x", r"r\.yaml is not YAML: "),
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
    with pytest.raises(UsageError, match=r"unknown loss 'optical' \(known: ot, mse, contrastive\)"):
        read_recipe(None, {"teacher": "t", "student": "s", "loss": "optical"})


@pytest.mark.parametrize("change", [{"seed": 2}, {"loss": OptimalTransport(epsilon=0.2)}, {"shuffle_targets": True}])
def test_the_fingerprint_depends_on_recipe_and_data(change: dict[str, Any]) -> None:
    recipe = Recipe(teacher="t", student="t")
    assert recipe.fingerprint({"pairs": "a"}) == Recipe(teacher="t", student="t").fingerprint({"pairs": "a"})
    assert recipe.fingerprint({"pairs": "a"}) != recipe.fingerprint({"pairs": "b"})
    assert recipe.fingerprint({"pairs": "a"}) != recipe.model_copy(update=change).fingerprint({"pairs": "a"})

"""A bad model folder gets the same line from every command, and from whoever else reads models."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layouts import HIDDEN, NORMALIZE, bert, dense, modular, pooling, rename_weights, write, xlmr

from clir.encoding.encoder import load_encoder, token_encoder
from clir.support.errors import ClirError, UsageError

CODE = "import os, sys; open(os.environ['RAN'], 'w').write('ran'); sys.exit('the code of the folder ran')\n"


def with_code(folder: Path) -> Path:
    """A folder that asks for the classes in its own file."""
    modular(bert(folder), pooling(), NORMALIZE)
    config = json.loads((folder / "config.json").read_text())
    asked = {"AutoConfig": "modeling.Config", "AutoModel": "modeling.Model"}
    write(folder / "config.json", config | {"auto_map": asked, "model_type": "village"})
    (folder / "modeling.py").write_text(CODE)
    return folder


def behind_a_prefix(folder: Path) -> Path:
    modular(xlmr(folder), pooling(), NORMALIZE)
    rename_weights(folder, "module.")
    return folder


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Two documents, two topics, three pairs, and a good index of the documents."""
    (tmp_path / "docs.jsonl").write_text(
        '{"id": "a", "contents": "The water is clean."}\n{"id": "b", "contents": "It rains."}\n'
    )
    (tmp_path / "topics.tsv").write_text("1\tmaji\n2\tmvua\n")
    (tmp_path / "pairs.tsv").write_text("The water is clean.\tMaji ni safi.\nIt rains.\tMvua inanyesha.\n")
    return tmp_path


COMMANDS: dict[str, tuple[str, ...]] = {
    "encode": ("encode", "--corpus", "docs.jsonl", "--output", "index", "--encoder"),
    "search": ("search", "--collection", "demo/sw", "--method", "dense", "--output", "a.run", "--encoder"),
    "train": ("train", "--bitext", "pairs.tsv", "--language", "sw", "--output", "student", "--teacher"),
}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (with_code, "bad needs code from its own repository (AutoConfig, AutoModel in its config.json"),
        (
            behind_a_prefix,
            "bad: its weights lack embeddings.LayerNorm.bias, embeddings.LayerNorm.weight, embeddings.pos",
        ),
    ],
)
def test_every_command_says_the_same_of_a_bad_folder(
    make: Callable[[Path], Path], message: str, desk: Path, door: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(desk / "bad")
    monkeypatch.setenv("RAN", str(desk / "ran"))
    monkeypatch.chdir(desk)
    with pytest.raises(ClirError) as caught:
        load_encoder("bad").encode_queries(["maji"])
    assert str(caught.value).startswith(message)
    for command in COMMANDS.values():
        done = door(*command, "bad", cwd=desk)
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        last = done.stderr.strip().splitlines()[-1]
        assert last.endswith(str(caught.value)), done.stderr
        assert "bitext" not in done.stderr and "Traceback" not in done.stderr
    assert not (desk / "ran").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_code_in_a_folder_is_not_asked_for_on_a_terminal(command: str, desk: Path) -> None:
    with_code(desk / "bad")
    ours, theirs = pty.openpty()
    os.write(ours, b"y\ny\ny\n")
    environment = {**os.environ, "RAN": str(desk / "ran")}
    done = subprocess.run(
        [sys.executable, "-m", f"clir.{COMMANDS[command][0]}", *COMMANDS[command][1:], "bad"],
        stdin=theirs, capture_output=True, text=True, cwd=desk, timeout=120, env=environment,
    )  # fmt: skip
    os.close(ours), os.close(theirs)
    assert done.returncode == 1
    assert "which clir never runs" in done.stderr and "[y/N]" not in done.stdout + done.stderr
    assert not (desk / "ran").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda to: modular(bert(to), pooling(), dense(24, "tanh")), r"2_Dense: a Dense with an activation \(Tanh\)"),
        (
            lambda to: modular(bert(to), pooling(), dense(24, "identity"), dense(8, "identity", into=24)),
            "it has 2 modules Dense, and one at most is supported",
        ),
        (lambda to: modular(bert(to), pooling(), NORMALIZE, dense(8, "identity")), "Dense after Normalize is not"),
        (
            lambda to: modular(bert(to), ("Pooling", {"pooling_mode": "weightedmean"})),
            "1_Pooling: pooling 'weightedmean' is not supported",
        ),
        (
            lambda to: modular(bert(to), pooling(), ("LayerNorm", {"dimension": HIDDEN})),
            "its module LayerNorm is not one of",
        ),
        (
            lambda to: modular(bert(to), pooling(), NORMALIZE, truncate_dim=8),
            "while it cuts its vectors to 8 dimensions",
        ),
    ],
)
def test_what_keeps_a_model_from_being_a_teacher_is_said(
    make: Callable[[Path], Path], message: str, tmp_path: Path
) -> None:
    from clir.distillation.start import tower_encoder

    folder = make(tmp_path / "model")
    with pytest.raises(UsageError, match=f"cannot be a teacher or student.*{message}"):
        tower_encoder(str(folder))
    with pytest.raises(UsageError, match=r"cannot be used for token vectors|no token vectors|to search by tokens"):
        token_encoder(load_encoder(str(folder)))


def test_a_document_side_that_lacks_weights_is_refused_before_training(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    from clir.distillation.start import tower_encoder

    source = str(bert(tmp_path / "source"))
    sides = [[Transformer(source), Pooling(HIDDEN)] for _ in range(2)]
    router = Router.for_query_document(query_modules=sides[0], document_modules=sides[1])
    SentenceTransformer(modules=[router], device="cpu").save(str(tmp_path / "student"), create_model_card=False)
    assert tower_encoder(str(tmp_path / "student")).dimension == HIDDEN
    rename_weights(tmp_path / "student" / "document_0_Transformer", "module.")
    encoder = load_encoder(str(tmp_path / "student"))
    assert np.isfinite(encoder.encode_queries(["maji"])).all()
    with pytest.raises(ClirError, match="document_0_Transformer: its weights lack"):
        tower_encoder(str(tmp_path / "student"))

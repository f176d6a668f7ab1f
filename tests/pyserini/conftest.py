"""A student that differs from its teacher, and the demo's passages in a dense index: what Pyserini is held against."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clir.corpora.registry import open_collection
from clir.runs.run import Run

# Longer than any model here reads: both sides must cut it at the same token.
LONG = " ".join(["Where does the night bus stop, and who repairs the pump of the village well?"] * 40)
NOISE = 0.02


@pytest.fixture(scope="session")
def topics(tmp_path_factory) -> Path:
    """The demo's Swahili topics and a very long one, as the file that both programs read."""
    path = tmp_path_factory.mktemp("topics") / "topics.tsv"
    lines = [f"{topic.qid}\t{topic.text}\n" for topic in open_collection("demo/sw").topics()]
    path.write_text("".join([*lines, f"999\t{LONG}\n"]), "utf-8")
    return path


@pytest.fixture(scope="session")
def student_of(tmp_path_factory) -> Callable[[Path], Path]:
    """Saves a student of a model as training would: its copy, each weight moved a little."""
    import torch

    from clir.distillation.student import save_student
    from clir.encoding.encoder import load_encoder
    from clir.encoding.tower import load_tower

    def make(model: Path) -> Path:
        start = load_encoder(str(model))
        tower = load_tower(start.spec("query"))
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in tower.transformer.parameters():
                parameter += NOISE * parameter.std(correction=0) * torch.randn(parameter.shape, generator=generator)
        output = tmp_path_factory.mktemp("student") / model.name
        save_student(tower, start, start, output)
        queries = [encoder.encode_queries(["Maji ya kunywa"]) for encoder in (start, load_encoder(str(output)))]
        assert np.abs(queries[0] - queries[1]).max() > 1e-3, "a mix-up of the towers must show"
        return output

    return make


@pytest.fixture(scope="session")
def index_of(tmp_path_factory) -> Callable[[Path], Path]:
    """The dense index of the demo's passages by a model's document side."""
    from clir.encoding.encoder import load_encoder
    from clir.indexing.dense import build_dense_index

    def make(model: Path) -> Path:
        output = tmp_path_factory.mktemp("index") / "dense"
        return build_dense_index(open_collection("demo/sw").documents, load_encoder(str(model)), output).path

    return make


@pytest.fixture(scope="session")
def minilm_student(minilm, student_of) -> Path:
    return student_of(minilm)


@pytest.fixture(scope="session")
def minilm_index(minilm_student, index_of) -> Path:
    return index_of(minilm_student)


@pytest.fixture(scope="session")
def searched_by_clir(door, topics, tmp_path_factory) -> Callable[[Path, Path], Path]:
    """`searched_by_clir(student, index)`: the run that `clir.search --method dense` writes."""

    def search(student: Path, index: Path) -> Path:
        run = tmp_path_factory.mktemp("run") / "clir.run"
        what = ("--topics", topics, "--index", index, "--encoder", student)
        done = door("search", *what, "--method", "dense", "--hits", "100", "--output", run)
        assert done.returncode == 0, done.stderr
        return run

    return search


@pytest.fixture(scope="session")
def minilm_run(searched_by_clir, minilm_student, minilm_index) -> Path:
    return searched_by_clir(minilm_student, minilm_index)


@pytest.fixture(scope="session")
def agree() -> Callable[[Run, Run, float], None]:
    """Checks that two runs are one, ties aside: the same scores by rank, the same documents by score."""

    def check(ours: Run, theirs: Run, tolerance: float) -> None:
        assert ours.topics == theirs.topics
        for qid in ours.topics:
            one, other = ours[qid], theirs[qid]
            assert len(one) == len(other) > 0
            np.testing.assert_allclose(
                [hit.score for hit in one], [hit.score for hit in other], rtol=0, atol=tolerance, err_msg=qid
            )
            theirs_by_docid = dict(other)
            lowest = one[-1].score + 2 * tolerance
            for hit in one:
                # Documents as good as the last one may be cut off on either side.
                if hit.score > lowest:
                    assert abs(theirs_by_docid[hit.docid] - hit.score) <= tolerance, (qid, hit.docid)

    return check

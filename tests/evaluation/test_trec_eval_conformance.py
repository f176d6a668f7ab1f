"""Our numbers against the expected outputs that trec_eval 10 is tested with (shared data, not in the repository)."""

import os
import re
from pathlib import Path

import pytest

from clir.corpora.qrels import read_qrels
from clir.evaluation.measures import evaluate, parse
from clir.runs.trec import read_run
from clir.support.errors import ClirError

SHARED = Path(os.environ.get("CLIR_SHARED", Path(__file__).parents[2] / ".." / "shared"))
DATA = SHARED / "data" / "trec_eval"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no shared data")

SINGLE = {
    "map": "AP",
    "Rprec": "Rprec",
    "bpref": "Bpref",
    "recip_rank": "RR",
    "num_rel_ret": "NumRet",
    "infAP": "infAP",
    "set_P": "SetP",
    "set_recall": "SetR",
    "set_map": "SetAP",
    "set_F": "SetF",
}
WITHOUT_LEVEL = {"num_ret": "NumRet", "ndcg": "nDCG", "num_rel": "NumRel", "num_q": "NumQ"}
CUT = {"P": "P", "recall": "R", "map_cut": "AP", "success": "Success", "ndcg_cut": "nDCG"}
# The half of the last decimal that is printed, and a little for its binary form.
HALF_A_DIGIT = 0.5e-4 + 1e-9


def our_name(theirs: str, level: int) -> str | None:
    """ir_measures' name of a trec_eval measure at a relevance level."""
    if theirs == "num_rel_ret":
        return f"NumRet(rel={level})"
    relevance = f"(rel={level})" if level != 1 else ""
    if theirs in SINGLE:
        return SINGLE[theirs] + relevance
    if theirs in WITHOUT_LEVEL:
        # pytrec_eval counts relevant documents at level 1 only.
        return None if (theirs, level) == ("num_rel", 2) else WITHOUT_LEVEL[theirs]
    if theirs == "set_relative_P":
        return f"SetP(relative=True,rel={level})" if level != 1 else "SetP(relative=True)"
    if match := re.fullmatch(r"(\w+)_(\d+)", theirs):
        name, cutoff = match.groups()
        if name in CUT:
            return f"{CUT[name]}{'' if name == 'ndcg_cut' else relevance}@{cutoff}"
    # pytrec_eval has an earlier trec_eval's rounding of interpolated precision's recall points.
    return None


@pytest.mark.parametrize(
    ("expected", "qrels", "results", "level", "depth", "values"),
    [
        ("out.test", "qrels.test", "results.test", 1, None, 17),
        ("out.test.a", "qrels.test", "results.test", 1, None, 54),
        ("out.test.aq", "qrels.test", "results.test", 1, None, 213),
        ("out.test.aqc", "qrels.test", "results.trunc", 1, None, 213),
        ("out.test.aqcM", "qrels.test", "results.trunc", 1, 100, 213),
        ("out.test.aql", "qrels.rel_level", "results.test", 2, None, 209),
        ("out.comment.test", "qrels.comment.test", "results.comment.test", 1, None, 17),
    ],
)
def test_trec_evals_own_tests(tmp_path, expected, qrels, results, level, depth, values):
    rows = [line.split()[:3] for line in (DATA / expected).read_text().splitlines()]
    wanted = [(our_name(name, level), qid, float(value)) for name, qid, value in rows if our_name(name, level)]
    run = read_run(six_columns(DATA / results, tmp_path / "run"))
    run = run.cut(depth) if depth else run
    scores = evaluate(run, read_qrels(DATA / qrels), parse({name for name, _, _ in wanted}))
    differing = []
    for name, qid, value in wanted:
        ours = (scores.average if qid == "all" else scores.per_topic[qid])[str(parse([name])[0])]
        if abs(ours - value) > HALF_A_DIGIT:
            differing.append((name, qid, value, ours))
    assert differing == []
    assert len(wanted) == values


def six_columns(path: Path, copy: Path) -> Path:
    """The run without the words that trec_eval allows after the tag, and we do not."""
    copy.write_text("".join(" ".join(line.split()[:6]) + "\n" for line in path.read_text().splitlines()))
    return copy


def test_words_after_the_tag_are_refused_with_their_line():
    with pytest.raises(ClirError, match=r"results\.trunc:1: 9 columns, not the 6 of"):
        read_run(DATA / "results.trunc")

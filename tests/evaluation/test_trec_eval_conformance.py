"""Our numbers against the expected outputs that trec_eval 10 is tested with (shared data, not in the repository)."""

import os
import re
from pathlib import Path

import pytest

from clir.corpora.qrels import read_qrels
from clir.evaluation.measures import evaluate, parse
from clir.evaluation.trec_eval_10 import differences
from clir.runs.trec import read_run

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
WITHOUT_LEVEL = {"num_ret": "NumRet", "ndcg": "nDCG", "num_q": "NumQ"}
CUT = {"P": "P", "recall": "R", "map_cut": "AP", "success": "Success", "ndcg_cut": "nDCG"}
# The half of the last decimal that is printed, and a little for its binary form.
HALF_A_DIGIT = 0.5e-4 + 1e-9


# trec_eval 10 rounds the recall points of interpolated precision up otherwise than trec_eval 9, and so pytrec_eval.
# What differs is named; all others are the same to the digit.
RECALL_POINTS = {
    "out.test": {"0.10 all", "0.60 all"},
    "out.test.a": {"0.10 all", "0.60 all"},
    "out.test.aq": {"0.10 301", "0.10 all", "0.60 302", "0.60 all"},
    "out.test.aqc": {"0.10 301"},
    "out.test.aql": {"0.10 301", "0.60 302", "0.90 303", "0.10 all", "0.60 all", "0.90 all"},
    "out.test.meas_params": {"0.10 301", "0.25 302", "0.10 all", "0.25 all"},
    "out.comment.test": {f"0.{point}0 all" for point in (1, 2, 3, 4, 6, 7, 9)},
}


def our_name(theirs: str, level: int) -> str | None:
    """ir_measures' name of a trec_eval measure at a relevance level."""
    if theirs == "num_rel_ret":
        return f"NumRet(rel={level})"
    if theirs == "num_rel":
        return f"NumRel(rel={level})"
    relevance = f"(rel={level})" if level != 1 else ""
    if theirs in SINGLE:
        return SINGLE[theirs] + relevance
    if theirs in WITHOUT_LEVEL:
        return WITHOUT_LEVEL[theirs]
    if theirs == "set_relative_P":
        return f"SetP(relative=True,rel={level})" if level != 1 else "SetP(relative=True)"
    if match := re.fullmatch(r"iprec_at_recall_([\d.]+)", theirs):
        return f"IPrec{relevance}@{float(match[1])}"
    if match := re.fullmatch(r"(\w+)_(\d+)", theirs):
        name, cutoff = match.groups()
        if name in CUT:
            return f"{CUT[name]}{'' if name == 'ndcg_cut' else relevance}@{cutoff}"
    return None


@pytest.mark.parametrize(
    ("expected", "qrels", "results", "level", "depth", "values"),
    [
        ("out.test", "qrels.test", "results.test", 1, None, 28),
        ("out.test.a", "qrels.test", "results.test", 1, None, 65),
        ("out.test.aq", "qrels.test", "results.test", 1, None, 257),
        # Topic 302 is missing, and words stand after the tags.
        ("out.test.aqc", "qrels.test", "results.trunc", 1, None, 257),
        ("out.test.aqcM", "qrels.test", "results.trunc", 1, 100, 257),
        ("out.test.aql", "qrels.rel_level", "results.test", 2, None, 257),
        ("out.test.meas_params", "qrels.test", "results.test", 1, None, 64),
        # Docids with "#", and ties.
        ("out.comment.test", "qrels.comment.test", "results.comment.test", 1, None, 28),
    ],
)
def test_trec_evals_own_tests(expected, qrels, results, level, depth, values):
    rows = [line.split()[:3] for line in (DATA / expected).read_text().splitlines()]
    wanted = [(name, our_name(name, level), qid, float(value)) for name, qid, value in rows if our_name(name, level)]
    run = read_run(DATA / results)
    run = run.cut(depth) if depth else run
    read, measures = read_qrels(DATA / qrels), parse({ours for _, ours, _, _ in wanted})
    scores = evaluate(run, read, measures)
    differing = set()
    for name, ours, qid, value in wanted:
        own = (scores.average if qid == "all" else scores.per_topic[qid])[str(parse([ours])[0])]
        if abs(own - value) > HALF_A_DIGIT:
            differing.add(f"{name} {qid}")
    assert differing == {f"iprec_at_recall_{point}" for point in RECALL_POINTS.get(expected, set())}
    # And what is said of trec_eval 10 makes up for all of them.
    there = {found.measure: found.there for found in differences(run, read, measures, scores)}
    for name, ours, qid, value in wanted:
        if qid == "all":
            measure = str(parse([ours])[0])
            assert there.get(measure, scores.average[measure]) == pytest.approx(value, abs=HALF_A_DIGIT), name
    assert len(wanted) == values

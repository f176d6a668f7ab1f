"""Every measure of ir_measures, by whichever package computes it, against the measure's definition, for topic ids that
packages have misread, for grades from -2 to 10, and for topics without relevant documents or without hits."""

import math
import random

import direct
import ir_measures
import pytest

from clir.corpora.qrels import Qrels, write_qrels
from clir.evaluation.measures import evaluate, parse
from clir.runs.run import Run
from clir.runs.trec import write_run
from clir.support.errors import ClirError

# As numbers, these are few.
TOPICS = [
    "001",
    "1",
    "01",
    "1.0",
    "sw_1",
    "2024-127266",
    "2025-127266",
    "ñ",
    "NA",
    "1e0",
    "no-hits",
    "-1",
    "q#1",
    "0x1",
]
# A few more than are judged or found.
DOCS = ["001", "1", "01", "1.0", "ñ", "NA", "d#1", "#", "1e0", "-1", "null", '"', "0", "Q0", "d1", "d2"]
MOST = 12  # documents of a topic


def collection(grades, seed=0):
    """Judgements and rankings at random: `judged[qid]`, `ranking[qid]`."""
    draw = random.Random(seed)
    judged = {qid: {docid: draw.choice(grades) for docid in DOCS[:MOST] if draw.random() < 0.7} for qid in TOPICS}
    judged["1"] = {"01": 0, "d2": 0, "ñ": min(grades)}  # nothing relevant
    judged["0x1"] = dict.fromkeys(["1", "ñ"], min(grades))
    ranking = {qid: draw.sample(DOCS, draw.randint(1, MOST)) for qid in TOPICS}
    del ranking["no-hits"]
    return judged, ranking


def run_of(ranking, first=-3.0):
    """Scores below 0 as well: of log probabilities all are."""
    return Run.from_hits(
        {qid: [(docid, first - i / 7) for i, docid in enumerate(docs)] for qid, docs in ranking.items()}
    )


GRADED = {
    "AP": direct.average_precision,
    "AP@3": lambda docs, own: direct.average_precision(docs, own, 3),
    "AP(rel=2)": lambda docs, own: direct.average_precision(docs, own, rel=2),
    "P@4": lambda docs, own: direct.precision(docs, own, 4),
    "RR(rel=0)@3": lambda docs, own: direct.reciprocal_rank(docs, own, 3, 0),
    "R@4": lambda docs, own: direct.recall(docs, own, 4),
    "R(rel=2)@4": lambda docs, own: direct.recall(docs, own, 4, 2),
    "RR": direct.reciprocal_rank,
    "RR@2": lambda docs, own: direct.reciprocal_rank(docs, own, 2),
    "RR(rel=3)@5": lambda docs, own: direct.reciprocal_rank(docs, own, 5, 3),
    "Rprec": direct.r_precision,
    "Success@2": lambda docs, own: direct.success(docs, own, 2),
    "nDCG": direct.ndcg,
    "nDCG@3": lambda docs, own: direct.ndcg(docs, own, 3),
    "nDCG(dcg='exp-log2')": lambda docs, own: direct.ndcg(docs, own, gain=lambda grade: 2**grade - 1),
    "nDCG(dcg='exp-log2')@3": lambda docs, own: direct.ndcg(docs, own, 3, lambda grade: 2**grade - 1),
    "nDCG(gains={1:5,2:1})@5": lambda docs, own: direct.ndcg(
        docs, {d: {1: 5, 2: 1}.get(g, g) for d, g in own.items()}, 5
    ),
    "Bpref": direct.bpref,
    "Bpref(rel=2)": lambda docs, own: direct.bpref(docs, own, 2),
    "infAP": direct.inferred_ap,
    "IPrec@0.1": lambda docs, own: direct.interpolated_precision(docs, own, 0.1),
    "IPrec@0.55": lambda docs, own: direct.interpolated_precision(docs, own, 0.55),
    "IPrec@1": lambda docs, own: direct.interpolated_precision(docs, own, 1.0),
    "SetP": direct.set_precision,
    "SetRelP": direct.set_relative_precision,
    "SetR": direct.set_recall,
    "SetR(rel=2)": lambda docs, own: direct.set_recall(docs, own, 2),
    "SetF": direct.set_f,
    "SetF(beta=0.5)": lambda docs, own: direct.set_f(docs, own, 0.5),
    "SetAP": lambda docs, own: direct.set_precision(docs, own) * direct.set_recall(docs, own),
    "Judged": direct.judged_share,
    "Judged@3": lambda docs, own: direct.judged_share(docs, own, 3),
    "Accuracy": direct.accuracy,
    "Accuracy@4": lambda docs, own: direct.accuracy(docs, own, 4),
    "Compat": direct.compatibility,
    "Compat(p=0.8)": lambda docs, own: direct.compatibility(docs, own, 0.8),
    "NumRet": lambda docs, own: float(len(docs)),
    "NumRelRet": lambda docs, own: float(sum(direct.hits(docs, own))),
    "NumRet(rel=2)": lambda docs, own: float(sum(direct.hits(docs, own, 2))),
}
# These do not look at the run, so that they are there for a topic without hits as well.
OF_THE_QRELS = {
    "NumQ": lambda docs, own: 1.0,
    "NumRel": lambda docs, own: float(direct.relevant(own)),
    "NumRel(rel=2)": lambda docs, own: float(direct.relevant(own, 2)),
}
TO_FOUR = {"ERR": direct.err, "ERR@3": lambda docs, own: direct.err(docs, own, 3)}


def binary(own, rel=1):
    return [1.0 if grade >= rel else 0.0 for grade in own]


def cwl(goes_on, most=10, rel=None):
    """A measure of the package cwl_eval: gains are grades as shares of the highest, or 1 from `rel` on."""

    def value(docs, own):
        grades = [max(0, own.get(docid, 0)) for docid in docs]
        gains = [grade / most for grade in grades] if rel is None else binary(grades, rel)
        return direct.walked(gains, goes_on)

    return value


CWL = {
    "RBP(rel=1)": cwl(lambda rank, gain, sum_: 0.8, rel=1),
    "RBP(rel=2,p=0.5)": cwl(lambda rank, gain, sum_: 0.5, rel=2),
    "SDCG(max_rel=10)@5": cwl(lambda rank, gain, sum_: math.log2(rank + 1) / math.log2(rank + 2) * (rank < 5)),
    "BPM(max_rel=10)@5": cwl(lambda rank, gain, sum_: float(sum_ < 1.0 and rank < 5)),
    "NERR8(max_rel=10)@5": cwl(lambda rank, gain, sum_: (1 - gain) * (rank < 5)),
    "NERR9(max_rel=10)@5": cwl(lambda rank, gain, sum_: rank / (rank + 1) * (1 - gain) * (rank < 5)),
    "NERR10(max_rel=10)": cwl(lambda rank, gain, sum_: 0.9 * (1 - gain)),
    "NERR11(max_rel=10)": cwl(lambda rank, gain, sum_: ((rank + 1) / (rank + 2)) ** 2 * (1 - gain)),
    "INSQ(max_rel=10)": cwl(lambda rank, gain, sum_: ((rank + 1) / (rank + 2)) ** 2),
    "INST(max_rel=10)": cwl(lambda rank, gain, sum_: ((rank + 1 - sum_) / (rank + 2 - sum_)) ** 2),
}


def check(measures, grades, seeds=range(4)):
    for seed in seeds:
        judged, ranking = collection(grades, seed)
        found = evaluate(run_of({**ranking, "not-judged": ["d1"]}), Qrels.from_dict(judged), list(measures))
        for name, value in measures.items():
            canonical = str(parse([name])[0])
            expected = {qid: value(ranking[qid], judged[qid]) if qid in ranking else 0.0 for qid in TOPICS}
            if name in OF_THE_QRELS:
                expected["no-hits"] = value([], judged["no-hits"])
            assert {qid: found.per_topic[qid][canonical] for qid in TOPICS} == pytest.approx(expected), name


def test_every_measure_by_its_definition():
    check({**GRADED, **OF_THE_QRELS}, range(-2, 11))


def test_a_run_without_a_judged_hit_scores_nothing_and_raises_nothing():
    qrels = Qrels.from_dict({"1": {"a": 1, "b": 0}, "2": {"a": -1}})
    names = [name for name in {**GRADED, **TO_FOUR} if name not in ("Accuracy", "Accuracy@4")]
    condensed = ["AP(judged_only=True)", "nDCG(dcg='exp-log2',judged_only=True)@3", "P(judged_only=True)@3"]
    for run in (Run.from_hits({}), Run.from_hits({"2": [("x", 1.0)]})):
        average = evaluate(run, qrels, [*names, *condensed]).average
        assert {name: value for name, value in average.items() if value} == ({"NumRet": 1.0} if len(run) else {})


def test_measures_for_grades_up_to_four_by_their_definition():
    check(TO_FOUR, range(-2, 5))


def test_measures_of_the_package_cwl_eval_by_their_definition():
    pytest.importorskip("cwl")
    check(CWL, range(-2, 11))


def test_no_measure_is_left_out():
    computed = {str(parse([name])[0].NAME) for name in {**GRADED, **OF_THE_QRELS, **TO_FOUR}}
    computed |= {name.partition("(")[0] for name in CWL}
    computed |= {one.NAME for one in ir_measures.pyndeval.SUPPORTED_MEASURES}
    assert {measure.NAME for measure in ir_measures.measures.registry.values()} <= computed


@pytest.mark.parametrize("measure", [*TO_FOUR, "SDCG(max_rel=3)@5"])
def test_grades_beyond_a_measure_are_refused(measure):
    if "max_rel" in measure:
        pytest.importorskip("cwl")
    most = 4 if "ERR" in measure else 3
    with pytest.raises(ClirError) as error:
        evaluate(Run.from_hits({"1": [("a", 1.0)]}), Qrels.from_dict({"1": {"a": 7}}), [measure])
    assert str(error.value) == (
        f"measure {measure} is defined for grades up to {most}, and the qrels have the grade 7: give gains of at most "
        f"{most} (--gains 7={most} ...), or take another measure"
    )


def test_equal_to_gdeval_where_it_works():
    if not ir_measures.gdeval.is_available():
        pytest.skip("no perl")
    judged, ranking = collection(range(0, 5))
    numbers = {qid: str(number) for number, qid in enumerate(TOPICS, 101)}
    measures = parse(["ERR@20", "ERR@2", "nDCG(dcg='exp-log2')@20", "nDCG(dcg='exp-log2')@2"])
    theirs = ir_measures.gdeval.iter_calc(
        measures, {numbers[qid]: own for qid, own in judged.items()},
        {numbers[qid]: {docid: -float(i) for i, docid in enumerate(docs)} for qid, docs in ranking.items()},
    )  # fmt: skip
    theirs = {(metric.query_id, str(metric.measure)): metric.value for metric in theirs}
    ours = evaluate(run_of(ranking), Qrels.from_dict(judged), measures)
    for qid, values in ours.per_topic.items():
        for name, value in values.items():
            assert theirs[numbers[qid], name] == pytest.approx(value, abs=5.1e-6), (qid, name)


def test_unjudged_hits_left_out_by_a_parameter_are_those_left_out_before():
    from clir.evaluation.gains import judged_only

    judged, ranking = collection(range(-2, 4), 3)
    qrels, run = Qrels.from_dict(judged), run_of(ranking)
    names = ["AP", "P@3", "nDCG@3", "RR@3", "Rprec", "SetF", "IPrec@0.5", "nDCG(dcg='exp-log2')@3"]
    condensed = evaluate(judged_only(run, qrels), qrels, names)
    for name in names:
        head, at, cutoff = name.partition("@")
        with_it = head.removesuffix(")") + ("," if "(" in head else "(") + "judged_only=True)" + at + cutoff
        found = evaluate(run, qrels, [with_it]).per_topic
        canonical = str(parse([name])[0])
        assert {q: [*v.values()] for q, v in found.items()} == {
            q: [v[canonical]] for q, v in condensed.per_topic.items()
        }, name


def diversity(seed):
    draw = random.Random(seed)
    qids = ["001", "1", "sw_1", "ñ", "no-hits", "nothing"]
    lines = [
        (qid, topic, docid, 0 if qid == "nothing" else draw.choice([-2, 0, 1, 2]))
        for qid in qids for topic in ("1", "2", "fas") for docid in DOCS[:9] if draw.random() < 0.5
    ]  # fmt: skip
    columns = [list(column) for column in zip(*lines, strict=True)]
    qrels = Qrels.of(columns[0], columns[2], columns[3], columns[1])
    ranking = {qid: draw.sample(DOCS[:12], 8) for qid in qids if qid != "no-hits"}
    return qrels, ranking, lines


DIVERSITY = (
    "alpha_nDCG@20 alpha_nDCG@3 alpha_nDCG(alpha=0.2,rel=2)@5 alpha_DCG@10 ERR_IA@20 nERR_IA@5 NRBP nNRBP "
    "NRBP(alpha=0.3,beta=0.7) AP_IA P_IA@5 StRecall@2 StRecall(rel=2)@4"
)


@pytest.mark.parametrize("seed", range(3))
def test_measures_of_diversity_are_those_of_ir_measures_on_the_same_files(tmp_path, seed, capsys):
    pytest.importorskip("pyndeval")
    qrels, ranking, _ = diversity(seed)
    write_qrels(qrels, tmp_path / "qrels")
    write_run(run_of(ranking), tmp_path / "run")
    measures = parse([DIVERSITY])
    judged = list(ir_measures.read_trec_qrels(str(tmp_path / "qrels")))
    hits = list(ir_measures.read_trec_run(str(tmp_path / "run")))
    ours = evaluate(run_of(ranking), qrels, measures)
    for measure in measures:
        # One by one: of measures with several parameters ir_measures scores only the first.
        theirs = {metric.query_id: metric.value for metric in ir_measures.iter_calc([measure], judged, hits)}
        found = {qid: values[str(measure)] for qid, values in ours.per_topic.items()}
        assert found == pytest.approx({qid: 0.0 if math.isnan(value) else value for qid, value in theirs.items()})
        assert sum(found.values()) > 0
    said = "measure nNRBP cannot be computed for 1 topics (the value is nan), which count 0: nothing\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("seed", range(3))
def test_measures_of_diversity_by_their_definition(seed):
    pytest.importorskip("pyndeval")
    qrels, ranking, lines = diversity(seed)
    found = evaluate(run_of(ranking), qrels, ["alpha_nDCG@4", "alpha_nDCG(judged_only=True)@4", "StRecall@3", "AP"])
    for qid in qrels:
        own = [line for line in lines if line[0] == qid]
        topics_of, grades = {}, {}
        for _, topic, docid, grade in own:
            grades[docid] = max(grade, grades.get(docid, -9))
            if grade > 0:
                topics_of.setdefault(docid, set()).add(topic)
        docs = ranking.get(qid, [])
        condensed = [docid for docid in docs if grades.get(docid, -1) >= 0]
        assert found.per_topic[qid] == pytest.approx(
            {
                "alpha_nDCG@4": direct.alpha_ndcg(docs, topics_of, 4) if topics_of else 0.0,
                "alpha_nDCG(judged_only=True)@4": direct.alpha_ndcg(condensed, topics_of, 4) if topics_of else 0.0,
                "StRecall@3": direct.subtopic_recall(docs, topics_of, 3) if topics_of else 0.0,
                "AP": direct.average_precision(docs, grades),
            }
        ), qid


def test_a_topic_that_a_package_cannot_score_counts_the_default_and_is_named(capsys):
    qrels = Qrels.from_dict({qid: {"a": 1, "b": 0} for qid in ("one", "two")})
    run = Run.from_hits({"one": [("a", 2.0), ("b", 1.0)], "two": [("a", 1.0)]})
    found = evaluate(run, qrels, ["Accuracy", "AP"])
    assert found.per_topic == {"one": {"Accuracy": 1.0, "AP": 1.0}, "two": {"Accuracy": 0.0, "AP": 1.0}}
    assert capsys.readouterr().err == (
        "measure Accuracy cannot be computed for 1 topics (ZeroDivisionError: float division by zero), "
        "which count 0: two\n"
    )
    with pytest.raises(ClirError, match="measure Accuracy cannot be computed for any topic of the run"):
        evaluate(Run.from_hits({"two": [("a", 1.0)]}), qrels, ["Accuracy"])


def test_subtopics_survive_gains_and_languages():
    from clir.evaluation.gains import regraded
    from clir.evaluation.languages import within_language

    qrels = Qrels.of(["1"] * 4, ["a", "a", "b", "c"], [1, 2, 1, 0], ["1", "2", "2", "1"])
    assert qrels.as_dict() == {"1": {"a": 2, "b": 1, "c": 0}}
    gained = regraded(qrels, {0: 0, 1: 9, 2: 3})
    assert gained.as_dict() == {"1": {"a": 9, "b": 9, "c": 0}}
    assert gained.judgements.rows()[1] == ("1", "2", "a", 3)
    _, inside = within_language(Run.from_hits({"1": [("a", 1.0)]}), qrels, {"a": "sw", "b": "so", "c": "sw"}, "sw")
    assert inside.judgements.rows() == [("1", "1", "a", 1), ("1", "2", "a", 2), ("1", "1", "c", 0)]
    with pytest.raises(ClirError, match="document a more than once"):
        Qrels.of(["1"] * 2, ["a", "a"], [1, 2], ["x", "x"])

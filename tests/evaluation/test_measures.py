"""Measures: values worked out by hand, every judged topic counted, and errors for names that mean nothing."""

import ir_measures
import pytest

from clir.corpora.qrels import Qrels, write_qrels
from clir.evaluation.measures import evaluate, parse
from clir.runs.run import Run
from clir.runs.trec import write_run
from clir.support.errors import ClirError, UsageError

QRELS = Qrels.from_dict({"1": {"a": 1, "b": 0, "c": 2}, "2": {"a": 1}, "3": {"x": 0}})
RUN = Run.from_hits({"1": [("b", 3.0), ("a", 2.0), ("c", 1.0)], "9": [("a", 1.0)]})


def test_values_by_hand_and_averages_over_every_judged_topic():
    scores = evaluate(RUN, QRELS, ["AP", "P@2", "RR@10", "NumRet", "R@1"])
    assert scores.per_topic == {
        "1": {"AP": pytest.approx((1 / 2 + 2 / 3) / 2), "P@2": 0.5, "RR@10": 0.5, "NumRet": 3.0, "R@1": 0.0},
        "2": {"AP": 0.0, "P@2": 0.0, "RR@10": 0.0, "NumRet": 0.0, "R@1": 0.0},
        "3": {"AP": 0.0, "P@2": 0.0, "RR@10": 0.0, "NumRet": 0.0, "R@1": 0.0},
    }
    assert scores.average == {
        "AP": pytest.approx(7 / 36),
        "P@2": pytest.approx(1 / 6),
        "RR@10": pytest.approx(1 / 6),
        "NumRet": 3.0,
        "R@1": 0.0,
    }
    assert list(scores.per_topic) == QRELS.topics
    assert scores.values("P@2").tolist() == [0.5, 0.0, 0.0]


def test_what_counts_the_qrels_counts_missing_topics_too():
    assert evaluate(RUN, QRELS, ["NumQ", "NumRel"]).average == {"NumQ": 3.0, "NumRel": 3.0}


def test_ties_fall_by_docid_for_every_provider():
    # trec_eval: c, b, a. RR@10 comes from a provider that has a before c.
    run = Run.from_hits({"1": [("a", 1.0), ("b", 1.0), ("c", 1.0)]})
    qrels = Qrels.from_dict({"1": {"a": 1}})
    average = evaluate(run, qrels, ["RR", "RR@10", "Judged@1", "P@1"]).average
    assert average == {"RR": pytest.approx(1 / 3), "RR@10": pytest.approx(1 / 3), "Judged@1": 0.0, "P@1": 0.0}


def test_parameters_of_one_measure_do_not_reach_another():
    run = Run.from_hits({"1": [("u", 3.0), ("a", 2.0), ("c", 1.0)]})
    alone = [evaluate(run, QRELS, [m]).average for m in ("AP(judged_only=True)", "NumRet", "AP(rel=2)", "nDCG@10")]
    together = evaluate(run, QRELS, ["AP(judged_only=True)", "NumRet", "AP(rel=2)", "nDCG@10"]).average
    assert together == {name: value for part in alone for name, value in part.items()}
    assert together["NumRet"] == 3.0


def test_the_same_as_plain_ir_measures_on_the_written_files(tmp_path):
    scored = [(f"d{i}", float(i * 37 % 11)) for i in range(40)]
    run = Run.from_hits({qid: scored[int(qid) :] for qid in ("1", "2", "4")})
    qrels = Qrels.from_dict({qid: {f"d{i}": (i * int(qid)) % 4 for i in range(0, 40, 3)} for qid in "12345"})
    write_run(run, tmp_path / "run")
    write_qrels(qrels, tmp_path / "qrels")
    measures = parse(["AP nDCG@10 nDCG R@100 RR@10 RR P(rel=2)@5 Bpref Judged@10 Success@1 SetF infAP NumRet"])
    expected = ir_measures.calc_aggregate(
        measures,
        ir_measures.read_trec_qrels(str(tmp_path / "qrels")),
        ir_measures.read_trec_run(str(tmp_path / "run")),
    )
    average = evaluate(run, qrels, measures).average
    assert average == {str(measure): pytest.approx(value) for measure, value in expected.items()}
    assert 0 < average["AP"] < 1


def test_a_run_for_other_topics_is_refused():
    with pytest.raises(ClirError) as error:
        evaluate(Run.from_hits({q: [("a", 1.0)] for q in "6789"}), QRELS, ["AP"])
    assert str(error.value) == (
        "no topic of the run is in the qrels (run: 6, 7, 8, ...; qrels: 1, 2, 3): they do not belong together"
    )


def test_a_run_without_hits_scores_nothing():
    assert evaluate(Run.from_hits({}), QRELS, ["AP", "nDCG@10"]).average == {"AP": 0.0, "nDCG@10": 0.0}


def test_names_are_parsed_once_each_and_may_share_a_word():
    assert [str(m) for m in parse(["AP nDCG@10", "P(rel=2, judged_only=True)@5", "MAP", "MRR@10"])] == [
        "AP",
        "nDCG@10",
        "P(rel=2,judged_only=True)@5",
        "RR@10",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ndcg@10", "unknown measure 'ndcg@10'; did you mean 'nDCG@10'?"),
        ("Recal@100", "unknown measure 'Recal@100'; did you mean 'Recall@100'?"),
        ("ndcg_cut_10", "unknown measure 'ndcg_cut_10'; did you mean 'nDCG@10'?"),
        ("map", "unknown measure 'map'; did you mean 'AP'?"),
        ("xyzzy", "unknown measure 'xyzzy'; ir_measures' names are meant: AP, nDCG@10, R@100, RR@10"),
        ("R", "measure 'R' is not well formed: it needs a cutoff, as in R@10"),
        ("nDCG@", "measure 'nDCG@' is not well formed (as in nDCG@10 or P(rel=2)@5)"),
        ("nDCG@ten", "measure 'nDCG@ten' is not well formed (as in nDCG@10 or P(rel=2)@5)"),
        ("P@2.5", "measure 'P@2.5': cutoff is an integer, not 2.5"),
        ("AP(foo=1)", "measure 'AP(foo=1)': AP has no parameter foo (it has cutoff, rel, judged_only)"),
        ("ndcg_cut.10", "unknown measure 'ndcg_cut.10'; did you mean 'nDCG@10'?"),
        ("ndcg_cut.5,20", "unknown measure 'ndcg_cut.5,20'; did you mean 'nDCG@5 nDCG@20'?"),
        ("recall.1000", "unknown measure 'recall.1000'; did you mean 'R@1000'?"),
        ("P.5", "unknown measure 'P.5'; did you mean 'P@5'?"),
        ("P_10", "unknown measure 'P_10'; did you mean 'P@10'?"),
        ("map_cut_100", "unknown measure 'map_cut_100'; did you mean 'AP@100'?"),
        ("recip_rank", "unknown measure 'recip_rank'; did you mean 'RR'?"),
        ("recip_rank@10", "unknown measure 'recip_rank@10'; did you mean 'RR@10'?"),
        ("iprec_at_recall.0.10", "unknown measure 'iprec_at_recall.0.10'; did you mean 'IPrec@0.1'?"),
        ("num_rel_ret", "unknown measure 'num_rel_ret'; did you mean 'NumRet(rel=1)'?"),
        ("set_F.0.5", "unknown measure 'set_F.0.5'; did you mean 'SetF(beta=0.5)'?"),
        ("success.1", "unknown measure 'success.1'; did you mean 'Success@1'?"),
        ("hit@10", "unknown measure 'hit@10'; did you mean 'Success@10'?"),
        ("unj_5", "unknown measure 'unj_5'; did you mean 'Judged@5'?"),
        ("rbp", "unknown measure 'rbp'; did you mean 'RBP(rel=1)'?"),
        (
            "official",
            "unknown measure 'official'; trec_eval's name for several measures: name each "
            "(for example: AP nDCG@10 R@100)",
        ),
        ("11pt_avg", "unknown measure '11pt_avg'; trec_eval has this measure, ir_measures and clir do not"),
        ("gm_map", "unknown measure 'gm_map'; trec_eval has this measure, ir_measures and clir do not"),
        ("IPrec@0.333", "measure 'IPrec@0.333': a level of recall is between 0 and 1, with two digits at most"),
        ("IPrec", "measure 'IPrec' lacks recall (recall threshold): write IPrec@0.1"),
        ("P(rel=0)@5", "measure 'P(rel=0)@5': rel, the least grade that counts as relevant, is at least 1"),
        ("nDCG(dcg='exp')", "measure \"nDCG(dcg='exp')\": dcg is 'log2' or 'exp-log2', not 'exp'"),
        ("StRecall", "measure 'StRecall' is not well formed: it needs a cutoff, as in StRecall@10"),
        ("alpha_nDCG@50", "measure 'alpha_nDCG@50': its package, pyndeval, counts to a cutoff of 20"),
        ("AP,nDCG@10", "measure 'AP,nDCG@10' is not well formed: blanks separate measures: AP nDCG@10"),
        ("nDCG(gains={1:-2})", "measure 'nDCG(gains={1:-2})' is not well formed (as in nDCG@10 or P(rel=2)@5)"),
        (
            "nDCG(gains={1:3000000})",
            "measure 'nDCG(gains={1:3000000})': gains are integers from 0 to 1,000,000 for integers",
        ),
        ("P@99999999999999999999", "measure 'P@99999999999999999999': a cutoff must be at most 1,000,000"),
        ("nDCG@0", "measure 'nDCG@0': a cutoff is an integer from 1"),
        ("P(cutoff=True)", "measure 'P(cutoff=True)': a cutoff is an integer from 1"),
        ("__import__('os')", "measure \"__import__('os')\" is not well formed (as in nDCG@10 or P(rel=2)@5)"),
        ("", "no measure given (for example: AP nDCG@10 R@100)"),
    ],
)
def test_names_that_mean_nothing(name, message):
    with pytest.raises(UsageError) as error:
        parse([name])
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RBP", "measure 'RBP' lacks rel (minimum relevance score to be considered relevant): write RBP(rel=1)"),
        ("RBP(p=0.5)", "measure 'RBP(p=0.5)' lacks rel (minimum relevance score to be considered relevant): "
         "write RBP(p=0.5,rel=1)"),
        ("INST", "measure 'INST' lacks max_rel (maximum relevance score): write INST(max_rel=3)"),
        ("NERR8@10", "measure 'NERR8@10' lacks max_rel (maximum relevance score): write NERR8(max_rel=3)@10"),
        ("SDCG", "measure 'SDCG' lacks cutoff (ranking cutoff threshold), max_rel (maximum relevance score): "
         "write SDCG(max_rel=3)@10"),
    ],
)  # fmt: skip
def test_a_parameter_and_a_package_that_are_missing(monkeypatch, name, message):
    monkeypatch.setattr(ir_measures.cwl_eval, "_is_available", False)
    with pytest.raises(UsageError) as error:
        parse([name])
    needed = "; it also needs a package that is not installed: pip install ir-measures[cwl_eval]"
    assert str(error.value) == message + needed


def test_every_name_of_trec_eval_is_understood():
    import pytrec_eval

    for name in pytrec_eval.supported_measures:
        if name not in ir_measures.measures.registry:
            with pytest.raises(UsageError, match=r"did you mean|trec_eval has this measure"):
                parse([name])


def test_a_measure_without_its_package(monkeypatch):
    monkeypatch.setattr(ir_measures.pyndeval, "_is_available", False)
    with pytest.raises(ClirError) as error:
        parse(["alpha_nDCG@10"])
    assert str(error.value) == (
        "measure alpha_nDCG@10 needs a package that is not installed: pip install ir-measures[pyndeval]"
    )
    assert error.value.exit_status == 1

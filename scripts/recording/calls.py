"""The recorded Python calls about files, runs and scores: those of docs/python.md and their neighbours.

Where a module moves, the imports here follow it; what comes out stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recording import keeping
from recording.calling import call, refused, run, tagged_runs


@call()
def collections() -> Any:
    from clir.corpora.registry import collection_ids, open_collection

    demo, ids = open_collection("demo/sw"), collection_ids()
    documents, topics = list(demo.documents()), demo.topics()
    return {
        "ids": len(ids), "digest": keeping.digest("\n".join(sorted(ids)).encode()), "counted": demo.document_count(),
        "languages": [demo.language, *demo.topic_languages], "first": [documents[0].docid, documents[0].contents[:60]],
        "topics": [len(topics), topics[0].qid, topics[0].text, demo.topics("en")[-1].text],
        "judged": [len(demo.qrels().topics), demo.qrels()["101"]["health-02"]],
        "unknown": refused(lambda: open_collection("demo/xx")),
    }  # fmt: skip


@call()
def files() -> Any:
    from clir.corpora.bitext import read_bitext
    from clir.corpora.documents import count_documents, read_documents
    from clir.corpora.qrels import read_qrels
    from clir.corpora.topics import read_topics

    documents = {name: [len(list(read_documents(name))), count_documents(name)] for name in
                 ("docs.jsonl", "docs.tsv", "docs.trec", "mixed.jsonl")}  # fmt: skip
    pairs = {spec: [len(read_bitext([spec])), *read_bitext([spec])[0]] for spec in
             ("sw=news.en,news.sw", "sw=news.tsv", "sw=news.jsonl", "ha=more.tmx")}  # fmt: skip
    topics = {name: [(one.qid, one.text) for one in read_topics(name)][:2] for name in
              ("topics.tsv", "topics.jsonl", "topics.trec")}  # fmt: skip
    same = read_qrels("qrels.txt").as_dict() == read_qrels("qrels.beir.tsv").as_dict()
    return {"documents": documents, "topics": topics, "pairs": pairs, "qrels in two forms are one": same}


@call()
def runs() -> Any:
    from clir.runs.run import Run
    from clir.runs.trec import read_run, write_run

    one = Run.from_hits({"001": [("a", 3.0), ("b", 1.0)], "1": [("NA", 2.0)]}, tag="one")
    tied = Run.from_hits({"001": [("b", 0.9), ("c", 0.9), ("a", 0.1)]}, tag="two")
    write_run(tied, "tied.run")
    return {
        "order": [hit.docid for hit in tied["001"]], "written": Path("tied.run").read_text().splitlines(),
        "again": read_run("tied.run").as_dict(), "topics": one.topics, "cut": run(tagged_runs()[0].cut(2)),
        "tag": one.with_tag("other").tag, "nan": refused(lambda: Run.from_hits({"1": [("a", float("nan"))]})),
        "twice": refused(lambda: Run.from_hits({"1": [("a", 1.0), ("a", 2.0)]})),
        "empty id": refused(lambda: Run.from_hits({"1": [("", 1.0)]})),
    }  # fmt: skip


@call()
def fusion() -> Any:
    from clir.runs.fusion import fuse

    found = tagged_runs()
    methods = ("rrf", "combsum", "combmnz", "combanz", "weighted", "borda", "isr", "logisr")
    names = ("minmax", "zscore", "sum", "rank", "none", "over-topics")
    return {
        **{method: run(fuse(found, method)) for method in methods},
        **{f"combsum, {name}": run(fuse(found, "combsum", normalization=name, missing="minimum")) for name in names},
        "wrong": refused(lambda: fuse(found, "rrf", rrf_k=-1.0)),
    }


@call()
def evaluation() -> Any:
    from clir.corpora.qrels import read_qrels
    from clir.evaluation.gains import gains, judged_only, regraded
    from clir.evaluation.measures import evaluate

    qrels, found = read_qrels("qrels.txt"), tagged_runs()[0]
    scores = evaluate(found, qrels, ["AP", "nDCG@10", "RR@10", "ERR@5", "mAP@5"])
    regained = evaluate(found, regraded(qrels, gains(["exponential"])), ["nDCG@10"]).average
    condensed = evaluate(judged_only(found, qrels), qrels, ["AP"]).average
    return {"average": scores.average, "topics": scores.per_topic, "exponential": regained, "judged only": condensed}


@call()
def significance() -> Any:
    import numpy as np

    from clir.corpora.qrels import read_qrels
    from clir.evaluation import corrections, significance
    from clir.evaluation.intervals import bootstrap_interval
    from clir.evaluation.measures import evaluate

    qrels = read_qrels("qrels.txt")
    base, *others = (evaluate(one, qrels, ["AP"]).values("AP") for one in tagged_runs())
    tests = ("t", "wilcoxon", "randomisation", "bootstrap")
    p_values = {test: [significance.significance_test(test).p(base, other) for other in others] for test in tests}
    compared = significance.compare(base, {"b": others[0], "c": others[1]}, test="t")
    fixed = [0.01, 0.04, 0.03, 0.2]
    names = ("holm", "bonferroni", "bh", "none")
    return {
        "p": p_values, "compared": {name: str(one) for name, one in compared.items()},
        "corrected": {name: list(corrections.correction(name)(fixed)) for name in names},
        "effect": significance.effect_size(np.asarray(others[0]) - np.asarray(base)),
        "interval": list(bootstrap_interval(np.asarray(others[0]) - np.asarray(base))),
    }  # fmt: skip


@call()
def languages() -> Any:
    from clir.corpora.language_tags import language_tags
    from clir.corpora.qrels import read_qrels
    from clir.evaluation.fairness import alpha_ndcg, peer
    from clir.evaluation.languages import language_matrix, language_shares, relevant_shares
    from clir.evaluation.measures import parse
    from clir.runs.trec import read_run

    found, qrels = read_run("mixed.run"), read_qrels("mixed.qrels")
    documents = language_tags("languages.tsv", sorted(set(found.frame["docid"].to_list())))
    topics = language_tags("topic-languages.tsv", qrels.topics)
    return {
        "peer": peer(found, qrels, documents), "alpha": alpha_ndcg(found, qrels, documents),
        "matrix": language_matrix(found, qrels, topics, documents, parse(["AP"])[0]).values,
        "shares": language_shares(found, documents), "relevant": relevant_shares(qrels, documents),
    }  # fmt: skip


@call()
def tuning() -> Any:
    from clir.corpora.qrels import read_qrels
    from clir.evaluation.tuning import tune

    tuned = tune(tagged_runs()[:2], read_qrels("qrels.txt"), "nDCG@10", folds=3)
    return {"means": tuned.means(), "best": str(tuned.best), "folds": [str(fold.choice) for fold in tuned.folds]}


@call()
def training_data() -> Any:
    from clir.experiments.training_data import training_pairs

    pairs, reports = training_pairs(["sw=news.en,news.sw", "ha=more.tmx"], [], held_out=["docs.jsonl"])
    said: Mapping[str, Any] = json.loads(json.dumps(dict(reports), default=dict))
    return {"pairs": len(pairs), "first": list(pairs[0]), "reports": said}


@call()
def ir_datasets_reads() -> Any:
    import ir_datasets

    from clir.corpora.irds import register_with_ir_datasets

    added = register_with_ir_datasets()
    loaded = ir_datasets.load("demo/sw")
    return {"added": len(added), "documents": loaded.docs_count(), "query": list(next(iter(loaded.queries_iter())))[:2]}


@call("search/bm25")
def manifests() -> Any:
    from clir.support.manifest import manifest_path, read_manifest, write_manifest

    Path("mine.txt").write_text("mine", "utf-8")
    write_manifest("mine.txt", method={"by": "hand"})
    kept = read_manifest("mine.txt")
    return {"keys": sorted(kept), "libraries are named": bool(kept["platform"]["software"]["libraries"]),
            "paths": [manifest_path("mine.txt").name, manifest_path("bm25.run").name],
            "missing": refused(lambda: read_manifest("no.run"))}  # fmt: skip

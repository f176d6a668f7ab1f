"""The recorded Python calls: those of docs/python.md and their neighbours, over the same files as the commands.

Where a module moves, the imports here follow it; what comes out stays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recording import keeping

Call = Callable[[], Any]
# name: the function, and the commands (of commands.yaml) whose output it reads.
CALLS: dict[str, tuple[Call, tuple[str, ...]]] = {}
PROBES = ("Mwalimu anakunywa maji safi.", "The nurse reads a long letter.", "")


def call(*needs: str) -> Callable[[Call], Call]:
    """Record what the function gives, as `python/NAME`."""

    def keep(function: Call) -> Call:
        CALLS[f"python/{function.__name__}"] = function, needs
        return function

    return keep


def vectors(values: Any) -> list[Any]:
    """An array: its shape, and four numbers of each row."""
    return [list(values.shape), *([round(float(one), 4) for one in row[:4]] for row in values)]


def run(found: Any) -> dict[str, Any]:
    """A Run, as one in a file is kept."""
    return {"tag": found.tag, **keeping.hits(list(found.frame.select("qid", "docid", "score").iter_rows()))}


def refused(work: Call) -> str:
    """The error that `work` ends with."""
    try:
        work()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def tagged_runs() -> list[Any]:
    """The three runs of the fixtures."""
    from clir.runs.trec import read_run

    return [read_run(f"{name}.run") for name in "abc"]


def searching() -> tuple[Any, Any, list[Any]]:
    """The documents, the tiny model and the topics."""
    from clir.corpora.documents import read_documents
    from clir.corpora.topics import read_topics
    from clir.encoding.encoder import load_encoder

    return list(read_documents("docs.jsonl")), load_encoder("tiny"), read_topics("topics.en.tsv")


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
def encoder() -> Any:
    from clir.encoding.encoder import load_encoder, token_encoder

    model = load_encoder("tiny")
    tokens = token_encoder(model)
    found = tokens.encode_query_tokens(list(PROBES))
    return {
        "queries": vectors(model.encode_queries(list(PROBES))),
        "documents": vectors(model.encode_documents(list(PROBES))),
        "dimension": model.dimension, "name": model.name,
        "fingerprints": [model.fingerprint("query"), model.fingerprint("document")],
        "tokens": [found.offsets.tolist(), vectors(found.values[:3])],
        "document tokens": tokens.encode_document_tokens(list(PROBES)).offsets.tolist(),
        "limits": [tokens.token_limit("query"), tokens.token_limit("document")],
    }  # fmt: skip


@call("index/plain", "encode/dense", "encode/tokens")
def searchers() -> Any:
    from clir.retrieval.bm25 import BM25Searcher
    from clir.retrieval.dense import DenseSearcher
    from clir.retrieval.hybrid import FusionOptions, HybridSearcher
    from clir.retrieval.late import LateSearcher

    _, model, topics = searching()
    dense, sparse = DenseSearcher("dense", model), BM25Searcher("bm25", k1=0.9, b=0.4)
    options = FusionOptions(method="weighted", weights=(0.7, 0.3))
    return {
        "dense": run(dense.search(topics, 10)), "bm25": run(sparse.search(topics, 10)),
        "hybrid": run(HybridSearcher(dense, sparse, fusion=options).search(topics, 10)),
        "late": run(LateSearcher("tokens", model).search(topics, 10)),
    }  # fmt: skip


class Letters:
    """Counts letters: an encoder that is no model."""

    name, dimension = "letters", 26

    def encode_queries(self, texts: list[str]) -> Any:
        import numpy as np

        counts = np.array([[text.lower().count(chr(97 + at)) for at in range(26)] for text in texts], dtype=np.float32)
        return counts / np.maximum(1, np.linalg.norm(counts, axis=1, keepdims=True))

    encode_documents = encode_queries

    def fingerprint(self, side: str) -> str:
        return "letters-1"


@call()
def own_encoder() -> Any:
    from clir.indexing.dense import build_dense_index
    from clir.retrieval.dense import DenseSearcher

    documents, model, topics = searching()
    build_dense_index(lambda: iter(documents), Letters(), "letters")
    found = run(DenseSearcher("letters", Letters()).search(topics, 5))
    return {"run": found, "another model": refused(lambda: DenseSearcher("letters", model))}


@call()
def building() -> Any:
    from clir.encoding.encoder import token_encoder
    from clir.indexing.lucene import build_lucene_index
    from clir.indexing.tokens import build_token_index
    from clir.retrieval.bm25 import BM25Searcher
    from clir.retrieval.late import LateSearcher

    documents, model, topics = searching()
    build_lucene_index(documents, "built-bm25", "en")
    build_token_index(lambda: iter(documents), token_encoder(model), "built-tokens")
    return {
        "bm25": run(BM25Searcher("built-bm25").search(topics, 5)),
        "late": run(LateSearcher("built-tokens", model).search(topics, 5)),
    }


@call()
def collection_search() -> Any:
    from clir.corpora.registry import open_collection
    from clir.experiments.search import SearchOptions, collection_sides, search

    sides = collection_sides(open_collection("demo/sw"), "bm25", None, topics_language="en")
    return run(search("bm25", sides, None, hits=20, options=SearchOptions(k1=1.2, b=0.75)))


@call()
def held_open() -> Any:
    from clir.encoding.encoder import load_encoder
    from clir.experiments.opened import open_search

    with open_search("demo/sw", topics_language="en") as bm25:
        ranking = bm25.search("How is a well dug?", k=3)
        shown = [[hit.rank, hit.document.docid, round(hit.score, 4)] for hit in ranking]
        found = run(bm25.search(bm25.topics[:3], k=5))
    with open_search("demo/sw", load_encoder("tiny"), method="late") as late:
        matches = late.matches("Where is clean water?", ranking[0].document.docid)
        words = matches.words().table().splitlines()[:5]
        return {"ranking": shown, "run": found, "score": round(float(matches.score), 4), "words": words}


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
def transport() -> Any:
    import torch
    from pydantic import TypeAdapter

    from clir.distillation.transport import SOLVER_NAMES, AnySolver

    cost = torch.tensor([[[0.1, 1.0, 0.7], [1.0, 0.25, 0.6]]])
    rows, columns = torch.full((1, 2), 0.5), torch.tensor([[0.5, 0.25, 0.25]])
    adapter: TypeAdapter[Any] = TypeAdapter(AnySolver)
    solvers = {name: adapter.validate_python({"name": name}) for name in SOLVER_NAMES}
    return {
        name: [[round(float(value), 4) for value in row] for row in solver(cost, rows, columns)[0]]
        for name, solver in solvers.items()
    }


@call()
def training_data() -> Any:
    from clir.experiments.training_data import training_pairs

    pairs, reports = training_pairs(["sw=news.en,news.sw", "ha=more.tmx"], [], held_out=["docs.jsonl"])
    said: Mapping[str, Any] = json.loads(json.dumps(dict(reports), default=dict))
    return {"pairs": len(pairs), "first": list(pairs[0]), "reports": said}


@call()
def distilling() -> Any:
    from clir.corpora.bitext import read_bitext
    from clir.distillation.recipe import parse_recipe, read_recipe
    from clir.distillation.trainer import distil
    from clir.encoding.encoder import load_encoder

    pairs = read_bitext(["sw=news.tsv"])[:16]
    values = {"teacher": "tiny", "loss": ["ot", "mse"], "steps": 2, "batch_size": 4, "precision": "fp32"}
    recipe = parse_recipe(values, "calls")
    student = load_encoder(str(distil(recipe, pairs, "students/called")))
    same = student.fingerprint("document") == load_encoder("tiny").fingerprint("document")
    return {
        "vectors": vectors(student.encode_queries(list(PROBES[:2]))), "documents are the teacher's": same,
        "fingerprint": recipe.fingerprint({"pairs": 1}), "batches": recipe.batches(100),
        "overridden": read_recipe("recipe.yaml", {"loss": "cosine", "epochs": 2.0}).model_dump(mode="json")["loss"],
        "unknown": refused(lambda: parse_recipe({**values, "stepps": 1}, "calls")),
    }  # fmt: skip


@call()
def trimming() -> Any:
    from clir.encoding.folder import read_folder
    from clir.encoding.tower import load_tower
    from clir.encoding.trimming import changes, trim

    tower = load_tower(read_folder("tiny", "query"))
    trimmed = trim(tower, [PROBES[0]])
    return {"report": trimmed.report(), "changes": str(changes(tower, trimmed, list(PROBES)))}


@call("encode/dense")
def given_embeddings() -> Any:
    import faiss

    from clir.__main__ import main
    from clir.corpora.documents import read_documents

    index = faiss.read_index("dense/index")
    docids = Path("dense/docid").read_text("utf-8").split("\n")
    texts = {one.docid: one.contents for one in read_documents("docs.jsonl")}
    with open("made.jsonl", "w", encoding="utf-8") as handle:
        for at in range(index.ntotal):
            vector = [float(value) for value in index.reconstruct(at)]
            handle.write(json.dumps({"id": docids[at], "contents": texts[docids[at]], "vector": vector}) + "\n")
    try:
        main(["encode", "--from-embeddings", "made.jsonl", "--encoder", "tiny", "--output", "from-vectors"])
    except SystemExit as error:
        return {"status": error.code, **keeping.output(Path("from-vectors"), keeping.Cleaner({}, hidden=False))}
    return None


@call("train/ot", "train/head")
def sentence_transformers_reads() -> Any:
    from sentence_transformers import SentenceTransformer

    found = {}
    for name in ("ot", "head"):
        loaded = SentenceTransformer(f"students/{name}")
        found[name] = {"queries": vectors(loaded.encode_query(list(PROBES[:2]))),
                       "documents": vectors(loaded.encode_document(list(PROBES[:2])))}  # fmt: skip
    return found


@call("encode/dense")
def pyserini_reads() -> Any:
    from clir.encoding.pyserini import ClirQueryEncoder
    from clir.support.jvm import pyserini_module

    _, model, topics = searching()
    searcher = pyserini_module("pyserini.search.faiss").FaissSearcher("dense", ClirQueryEncoder(model))
    return [f"{hit.docid} {hit.score:.4f}" for hit in searcher.search(topics[0].text, k=3)]


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

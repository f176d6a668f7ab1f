"""The recorded Python calls that need a model or an index: encoding, searching, distilling.

Where a module moves, the imports here follow it; what comes out stays.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recording import keeping
from recording.calling import PROBES, call, refused, run, searching, vectors


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

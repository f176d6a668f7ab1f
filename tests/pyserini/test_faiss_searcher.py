"""A student as Pyserini's query encoder: its FaissSearcher finds what `clir.search --method dense` finds."""

import numpy as np
import pytest

from clir.corpora.topics import read_topics
from clir.runs.run import Run
from clir.runs.trec import read_run
from clir.support.jvm import pyserini_module

HITS = 100


@pytest.fixture(scope="module")
def encoder(minilm_student):
    # Its import starts the JVM that Pyserini needs.
    from clir.encoding.pyserini import ClirQueryEncoder

    return ClirQueryEncoder(str(minilm_student))


@pytest.fixture(scope="module")
def searcher(encoder, minilm_index):
    return pyserini_module("pyserini.search.faiss").FaissSearcher(str(minilm_index), encoder)


def test_it_is_a_query_encoder_of_pyserinis(encoder, minilm_student):
    from clir.encoding.encoder import load_encoder

    assert isinstance(encoder, pyserini_module("pyserini.encode").QueryEncoder)
    texts = ["Maji ya kunywa", "", "bus"]
    expected = load_encoder(str(minilm_student)).encode_queries(texts)
    batch, single = encoder.encode_batch(texts), encoder.encode("bus")
    assert (batch.shape, batch.dtype, single.shape) == ((3, 384), np.float32, (384,))
    np.testing.assert_allclose(batch, expected, atol=1e-6)
    np.testing.assert_allclose(single, expected[2], atol=1e-5)


def test_batch_search_gives_the_run_of_the_search_door(searcher, topics, minilm_run, agree):
    asked = read_topics(topics)
    hits = searcher.batch_search([topic.text for topic in asked], [topic.qid for topic in asked], k=HITS, threads=1)
    theirs = Run.from_hits({qid: [(hit.docid, hit.score) for hit in found] for qid, found in hits.items()})
    agree(read_run(minilm_run), theirs, 1e-5)


def test_one_by_one_gives_the_same_run(searcher, topics, minilm_run, agree):
    asked = read_topics(topics)
    hits = {topic.qid: searcher.search(topic.text, k=HITS) for topic in asked}
    theirs = Run.from_hits({qid: [(hit.docid, hit.score) for hit in found] for qid, found in hits.items()})
    agree(read_run(minilm_run), theirs, 1e-5)


def test_another_query_tower_gives_another_run(minilm, minilm_index, topics, minilm_run, agree):
    """The check above can fail: the teacher's own queries do not give the student's run."""
    from clir.encoding.pyserini import ClirQueryEncoder

    searcher = pyserini_module("pyserini.search.faiss").FaissSearcher(str(minilm_index), ClirQueryEncoder(str(minilm)))
    asked = read_topics(topics)
    hits = searcher.batch_search([topic.text for topic in asked], [topic.qid for topic in asked], k=HITS, threads=1)
    theirs = Run.from_hits({qid: [(hit.docid, hit.score) for hit in found] for qid, found in hits.items()})
    with pytest.raises(AssertionError):
        agree(read_run(minilm_run), theirs, 1e-5)


def test_an_index_that_pyserini_wrote_is_searched_by_ours(minilm_student, minilm_index, topics, tmp_path, agree):
    import faiss

    from clir.encoding.encoder import load_encoder
    from clir.retrieval.dense import DenseSearcher

    ours = faiss.read_index(str(minilm_index / "index"))
    vectors = ours.reconstruct_n(0, ours.ntotal)
    docids = (minilm_index / "docid").read_text().splitlines()
    writer = pyserini_module("pyserini.encode.optional").FaissRepresentationWriter(str(tmp_path), dimension=ours.d)
    with writer:
        writer.write({"id": docids, "vector": vectors})
    assert (tmp_path / "docid").read_bytes() == (minilm_index / "docid").read_bytes()
    assert (tmp_path / "index").read_bytes() == (minilm_index / "index").read_bytes(), "the same file, byte for byte"
    encoder = load_encoder(str(minilm_student))
    asked = read_topics(topics)
    runs = [DenseSearcher(path, encoder).search(asked, HITS) for path in (tmp_path, minilm_index)]
    agree(*runs, 1e-6)


@pytest.mark.parametrize("factory", ["HNSW16", "IVF8,SQ8"])
def test_pyserini_searches_an_approximate_index_of_ours_as_we_do(
    factory, encoder, minilm_student, minilm_index, topics, tmp_path, agree
):
    from clir.encoding.encoder import load_encoder
    from clir.indexing.approximate import Factory, build_approximate_index
    from clir.retrieval.dense import DenseSearcher

    index = build_approximate_index(minilm_index, tmp_path / "index", Factory(factory))
    asked = read_topics(topics)
    searcher = pyserini_module("pyserini.search.faiss").FaissSearcher(str(index.path), encoder)
    hits = searcher.batch_search([topic.text for topic in asked], [topic.qid for topic in asked], k=HITS, threads=1)
    # Pyserini keeps the padding of a short list.
    found = {qid: [(hit.docid, hit.score) for hit in some if hit.score > -1e30] for qid, some in hits.items()}
    ours = DenseSearcher(index, load_encoder(str(minilm_student)), threads=1).search(asked, HITS)
    agree(ours, Run.from_hits(found), 1e-5)


def test_vectors_that_pyserini_wrote_as_json_lines_are_imported(minilm, tmp_path):
    from clir.encoding.encoder import load_encoder
    from clir.indexing.embeddings import import_embeddings

    encoder = load_encoder(str(minilm))
    texts = ["The pump is broken.", "", "Buses leave at six."]
    vectors = encoder.encode_documents(texts)
    writer = pyserini_module("pyserini.encode").JsonlRepresentationWriter(str(tmp_path / "theirs"))
    with writer:
        writer.write({"id": ["a", "b", "c"], "text": texts, "vector": vectors}, ["text"])
    index = import_embeddings(tmp_path / "theirs", tmp_path / "ours", encoder)
    assert index.docids == ["a", "b", "c"] and index.encoder == encoder.fingerprint("document")
    np.testing.assert_array_equal(index.vectors().take(np.arange(3)), vectors)

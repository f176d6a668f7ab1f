"""Late interaction beyond exhaustive search: `python benchmarks/late.py [--quick] [--growth] [--json] [--output FILE]`.

One table has what each first stage finds of exhaustive search's best 10 and 100 by the number of candidates that are
scored exactly, and the time a query, on real passages in many languages. With --growth another has time and memory as
a collection grows 25 times. Every round measures all searches in turn, so that what else the machine does falls on all;
times are medians over rounds. Queries are encoded beforehand.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sides import show_rows

from clir.corpora import afriqa, lareqa, ntrex
from clir.corpora.collection import Document, Topic
from clir.corpora.registry import open_collection
from clir.encoding.encoder import load_encoder, token_encoder
from clir.encoding.token_vectors import TokenVectors
from clir.experiments.demo import offline_model
from clir.indexing.reduced import Kind, build_reduced_index, is_current
from clir.indexing.tokens import TokenIndex, build_token_index, open_token_index
from clir.retrieval.late import FirstStage, LateSearcher
from clir.runs.run import Run
from clir.support.errors import ClirError
from clir.support.files import write_json
from clir.support.manifest import processor, versions
from clir.support.progress import say

CHECKOUT = Path(__file__).resolve().parents[1]
MODELS = CHECKOUT / "encoders" / "models"
MODEL = "multilingual-e5-small"
# Sentences of an NTREX article that are a passage.
SENTENCES = 4
TOPIC_SETS = ("afriqa/sw/test", "afriqa/yo/test", "afriqa/ha/test", "lareqa")
CANDIDATES = (200, 500, 1000, 2000)
HITS, SINGLE = 100, 10
# The growing collection: documents of so many tokens, each a real one moved towards another, by so much.
BASE, GROWTH, TOKENS, MOVED = 4000, (1, 5, 25), 32, 0.5
DIMENSION = 128


@dataclasses.dataclass(frozen=True)
class Found:
    """A search: what it finds of the exhaustive best (means over topics), and milliseconds a query in each round.

    `many`: all topics in one call; `one`: topics one by one.
    """

    stage: str
    candidates: int | None
    recall: dict[str, float]
    many: list[float]
    one: list[float]


@dataclasses.dataclass(frozen=True)
class Grown:
    """One size of the growing collection: milliseconds a query, and memory that no file backs, at its greatest."""

    documents: int
    tokens: int
    exhaustive: float
    pooled: float
    seconds_to_build: float
    recall: float
    mebibytes: float


def passages() -> Iterator[Document]:
    """AfriQA's passages, LAReQA's paragraphs in 11 languages, and NTREX's articles in 18, by SENTENCES sentences."""
    yield from afriqa.passages()
    for code in lareqa.LANGUAGES:
        paragraphs = {one.docid.rpartition("_")[0]: one.context for one in lareqa.part(code).candidates}
        yield from (Document(f"lareqa.{name}", text) for name, text in paragraphs.items())
    for code in ("en", *ntrex.topic_codes()):
        articles: dict[str, list[str]] = {}
        for sentence in ntrex.sentences(code):
            articles.setdefault(sentence.article, []).append(sentence.text)
        for article, texts in articles.items():
            for start in range(0, len(texts), SENTENCES):
                text = " ".join(texts[start : start + SENTENCES])
                yield Document(f"ntrex.{code}.{article}.{start // SENTENCES}", text)


def topics(count: int) -> list[Topic]:
    """`count` topics, as many of each of TOPIC_SETS, the same every time."""
    chosen = []
    for name in TOPIC_SETS:
        found = open_collection(name).topics()
        chosen += random.Random(1).sample(found, min(count // len(TOPIC_SETS), len(found)))
    return [Topic(f"{number}", topic.text) for number, topic in enumerate(chosen)]


class Encoded:
    """An encoder whose token vectors were computed before: a text is the number of a text."""

    name = "encoded"

    def __init__(self, vectors: TokenVectors, fingerprint: str | None) -> None:
        self.vectors, self._fingerprint = vectors, fingerprint
        self.dimension = vectors.dimension

    def encode_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        """The vectors of the texts with these numbers."""
        return TokenVectors.of([self.vectors[int(text)] for text in texts], self.dimension)

    encode_document_tokens = encode_query_tokens

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Not asked for."""
        raise NotImplementedError

    encode_documents = encode_queries

    def token_limit(self, side: str) -> int:
        """Whatever is there is read."""
        return 1 << 20

    def fingerprint(self, side: str) -> str:
        """That of the index that is searched."""
        return self._fingerprint or "encoded"


def candidates_table(index: TokenIndex, encoder: Any, count: int, rounds: int) -> list[Found]:
    """What each first stage finds, and how fast, with the topics in turns."""
    asked = topics(count)
    vectors = token_encoder(encoder).encode_query_tokens([topic.text for topic in asked])
    say(
        f"{len(asked)} topics of {vectors.lengths.mean():.1f} tokens; "
        f"{index.documents:,} passages, {index.tokens:,} tokens"
    )
    numbered = [Topic(topic.qid, str(number)) for number, topic in enumerate(asked)]
    encoded = Encoded(vectors, index.encoder)
    for kind in ("pooled", "muvera"):
        prepare(index, kind)
    settings: list[tuple[FirstStage, int | None]] = [("exhaustive", None)]
    settings += [(kind, number) for kind in ("pooled", "muvera") for number in CANDIDATES if number < index.documents]
    searchers = [
        LateSearcher(index, encoded, first_stage=stage, candidates=number or HITS) for stage, number in settings
    ]
    runs: list[Run] = []
    times: list[tuple[list[float], list[float]]] = [([], []) for _ in settings]
    for number in range(rounds + 1):
        for at, searcher in enumerate(searchers):
            run, many = timed(lambda one=searcher: one.search(numbered, HITS))
            _, single = timed(lambda one=searcher: [one.search([topic], HITS) for topic in numbered[:SINGLE]])
            # The first round brings the index into memory.
            if number == 0:
                runs.append(run)
            else:
                times[at][0].append(1000 * many / len(numbered))
                times[at][1].append(1000 * single / SINGLE)
        say(f"round {number} of {rounds}")
    return [Found(stage, number, recall(runs[0], runs[at]), *times[at]) for at, (stage, number) in enumerate(settings)]


def prepare(index: TokenIndex, kind: Kind) -> float:
    """Seconds that making the vectors of this kind took; 0 if they are there."""
    if is_current(index, kind):
        return 0.0
    _, seconds = timed(lambda: build_reduced_index(index, kind))
    say(f"{kind} vectors of {index.documents:,} documents: {seconds:.0f} s")
    return seconds


def recall(exact: Run, run: Run) -> dict[str, float]:
    """The part of the exact best 10 and 100 that `run` has among its own best 10 and 100: means over topics."""
    means = {}
    for depth in (10, 100):
        found = [
            len({hit.docid for hit in exact[qid][:depth]} & {hit.docid for hit in run[qid][:depth]})
            / len(exact[qid][:depth])
            for qid in exact.topics
        ]
        means[f"R@{depth}"] = float(np.mean(found))
    return means


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` gives, and its seconds; without its words."""
    with contextlib.redirect_stderr(io.StringIO()):
        started = time.perf_counter()
        result = work()
        return result, time.perf_counter() - started


def growth_table(index: TokenIndex, folder: Path, base: int, rounds: int) -> list[Grown]:
    """Each size in a process of its own."""
    grown = []
    for times in GROWTH:
        path = folder / f"grown-{times}"
        grow(index, path, base, times)
        command = [sys.executable, __file__, "--measure", str(path), "--rounds", str(rounds)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=7200)
        if done.returncode:
            raise ClirError(f"measuring {path.name} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        grown.append(Grown(**json.loads(done.stdout)))
        say(f"{grown[-1].documents:,} documents: measured")
    return grown


def grow(index: TokenIndex, path: Path, base: int, times: int) -> None:
    """A token index of base x times documents: real ones, turned into DIMENSION dimensions and cut to TOKENS tokens.

    All but the first `base` are moved by MOVED towards another real document, so that no two are alike.
    """
    draw = np.random.default_rng(1)
    turn = np.linalg.qr(draw.normal(size=(index.dimension, min(DIMENSION, index.dimension))))[0].astype(np.float32)
    numbers = np.sort(draw.choice(index.documents, min(base, index.documents), replace=False))
    real = [unit(index.read(number, number + 1).values[:TOKENS] @ turn) for number in numbers.tolist()]
    real = [one for one in real if len(one)]
    means = np.array([one.mean(axis=0) for one in real])

    class Moved(Encoded):
        """Documents by number."""

        def encode_document_tokens(self, texts: Sequence[str]) -> TokenVectors:
            """The vectors of documents, made as they are asked for."""
            made = []
            for text in texts:
                number = int(text)
                copy, at = divmod(number, len(real))
                other = np.random.default_rng(number).integers(len(real)) if copy else at
                made.append(unit(real[at] + MOVED * (means[other] - means[at])))
            return TokenVectors.of(made, turn.shape[1])

    documents = [Document(f"d{number}", str(number)) for number in range(len(real) * times)]
    encoder = Moved(TokenVectors.empty([], turn.shape[1]), "moved")
    with contextlib.redirect_stderr(io.StringIO()):
        build_token_index(lambda: iter(documents), encoder, path)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors at unit length."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def measure(path: Path, rounds: int) -> Grown:
    """One size, in this process."""
    index = open_token_index(path)
    draw = np.random.default_rng(2)
    numbers = draw.integers(0, index.documents, 32)
    queries = TokenVectors.of(
        [index.read(number, number + 1).values[4:16] for number in numbers.tolist()], index.dimension
    )
    encoded, asked = Encoded(queries, index.encoder), [Topic(str(at), str(at)) for at in range(len(numbers))]
    with Peak() as peak:
        seconds = prepare(index, "pooled")
        exhaustive = LateSearcher(index, encoded, first_stage="exhaustive")
        pooled = LateSearcher(index, encoded, first_stage="pooled")
        times: tuple[list[float], list[float]] = ([], [])
        runs: list[Run] = []
        for _ in range(rounds + 1):
            for side, searcher in zip(times, (exhaustive, pooled), strict=True):
                run, spent = timed(lambda one=searcher: one.search(asked, HITS))
                side.append(1000 * spent / len(asked))
                runs.append(run)
    medians = [statistics.median(side[1:]) for side in times]
    found = recall(*runs[:2])["R@100"]
    return Grown(index.documents, index.tokens, *medians, seconds, found, peak.mebibytes)


class Peak:
    """The greatest memory that no file backs, looked at every 10 ms."""

    def __init__(self) -> None:
        self.mebibytes = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.01):
            with open("/proc/self/status", encoding="ascii") as status:
                kibibytes = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
            self.mebibytes = max(self.mebibytes, kibibytes / 1024)


def show_found(found: Sequence[Found]) -> None:
    """The first table."""
    exact = [statistics.median(side) for side in (found[0].many, found[0].one)]
    rows = [("first stage", "candidates", "R@10", "R@100", "ms a query", "times", "ms, one by one", "times")]
    for one in found:
        medians = [statistics.median(side) for side in (one.many, one.one)]
        cells = [
            cell for mine, whole in zip(medians, exact, strict=True) for cell in (f"{mine:.1f}", f"{whole / mine:.1f}")
        ]
        scores = [f"{value:.3f}" for value in one.recall.values()]
        rows.append((one.stage, f"{one.candidates or 'all':,}" if one.candidates else "all", *scores, *cells))
    show_rows(rows)


def show_grown(grown: Sequence[Grown]) -> None:
    """The second table."""
    rows = [("documents", "tokens", "exhaustive, ms", "pooled, ms", "R@100", "to make, s", "memory, MiB")]
    rows += [
        (
            f"{one.documents:,}", f"{one.tokens:,}", f"{one.exhaustive:.1f}", f"{one.pooled:.1f}",
            f"{one.recall:.3f}", f"{one.seconds_to_build:.0f}", f"{one.mebibytes:.0f}",
        )
        for one in grown
    ]  # fmt: skip
    show_rows(rows)


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--model", default=MODEL, help=f"a model folder, or a model of pip's (default: {MODEL})")
    parser.add_argument("--index", type=Path, help="a token index to search in the place of the pooled passages")
    parser.add_argument("--work", type=Path, default=CHECKOUT / "indexes" / "late-bench", help="where indexes are kept")
    parser.add_argument("--topics", type=int, default=100, help="topics (default: 100)")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds (default: 3)")
    parser.add_argument("--growth", action="store_true", help="the second table as well")
    parser.add_argument("--quick", action="store_true", help="400 passages, one round: does it work?")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--output", type=Path, help="write that JSON to a file as well")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(dataclasses.asdict(measure(options.measure, options.rounds))))
        return 0
    try:
        with tempfile.TemporaryDirectory(prefix="clir-bench-") as scratch:
            folder = Path(options.model)
            model = folder if folder.is_dir() else offline_model(options.model, MODELS)
            encoder = load_encoder(str(model))
            index = options.index and open_token_index(options.index)
            if index is None:
                work = Path(scratch) if options.quick else options.work
                index = pool(token_encoder(encoder), work / f"tokens-{model.name}", 400 if options.quick else None)
            rounds = 1 if options.quick else options.rounds
            found = candidates_table(index, encoder, 8 if options.quick else options.topics, rounds)
            grown = growth_table(index, Path(scratch), 100 if options.quick else BASE, rounds) if options.growth else []
    except ClirError as error:
        say(f"benchmarks/late.py: {error}")
        return error.exit_status
    told = {
        "machine": processor(), "versions": versions(), "model": options.model, "documents": index.documents,
        "tokens": index.tokens, "found": [dataclasses.asdict(one) for one in found],
        "grown": [dataclasses.asdict(one) for one in grown],
    }  # fmt: skip
    if options.output:
        write_json(options.output, told)
    if options.json:
        print(json.dumps(told, indent=2))
        return 0
    show_found(found)
    if grown:
        show_grown(grown)
    print(f"{index.documents:,} passages, {index.tokens:,} tokens of {index.dimension} dimensions, on {processor()}")
    return 0


def pool(encoder: Any, path: Path, count: int | None) -> TokenIndex:
    """The token index of the passages, gone on with where it is not finished."""
    if (path / "meta.json").exists():
        return open_token_index(path)
    chosen = list(passages())
    if count is not None:
        chosen = random.Random(1).sample(chosen, count)
    say(f"encoding {len(chosen):,} passages into {path}; a killed run goes on where it stopped")
    return build_token_index(lambda: iter(chosen), encoder, path, total=len(chosen))


if __name__ == "__main__":
    sys.exit(main())

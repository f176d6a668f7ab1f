"""Rankings over documents of several languages: how well each is found, for topics of each, and who stands where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from clir.corpora.qrels import Qrels
from clir.evaluation.measures import Measure, evaluate
from clir.runs.run import Run

# {docid: language}, or {qid: language}.
Tags = Mapping[str, str]


@dataclass(frozen=True)
class Matrix:
    """A measure for topics of one language over the documents of another.

    values[topic language][document language] is the mean over `topics` of the same place: those with a relevant
    document in that language. None where there is no such topic.
    """

    measure: str
    topic_languages: tuple[str, ...]
    document_languages: tuple[str, ...]
    values: Mapping[str, Mapping[str, float | None]]
    topics: Mapping[str, Mapping[str, int]]


def within_language(run: Run, qrels: Qrels, documents: Tags, language: str) -> tuple[Run, Qrels]:
    """What is left of a run and of qrels if only the documents of one language count, as though only they had been
    searched. Topics that then have nothing relevant are no topics."""
    kept = qrels.judgements.filter(_language_of("docid", qrels.judgements, documents) == language)
    answered = kept.filter(pl.col("relevance") > 0)["qid"].unique().to_list()
    hits = run.frame.filter(_language_of("docid", run.frame, documents) == language)
    asked = pl.col("qid").is_in(answered)
    return Run(hits.filter(asked), run.tag), Qrels.from_lines(kept.filter(asked))


def language_matrix(run: Run, qrels: Qrels, topics: Tags, documents: Tags, measure: Measure) -> Matrix:
    """`measure` for every pair of a topics' and a documents' language.

    `topics` has the language of every judged topic, `documents` of every document that is judged or found.
    """
    rows, columns = _in_order(topics, qrels.topics), _in_order(documents, qrels.frame["docid"].to_list())
    values: dict[str, dict[str, float | None]] = {row: {} for row in rows}
    counts: dict[str, dict[str, int]] = {row: {} for row in rows}
    for column in columns:
        hits, judged = within_language(run, qrels, documents, column)
        per_topic = evaluate(hits, judged, [measure]).per_topic if len(hits) else {qid: {} for qid in judged.topics}
        for row in rows:
            found = [scores.get(str(measure), 0.0) for qid, scores in per_topic.items() if topics[qid] == row]
            values[row][column] = sum(found) / len(found) if found else None
            counts[row][column] = len(found)
    return Matrix(str(measure), tuple(rows), tuple(columns), values, counts)


def language_shares(run: Run, documents: Tags, depths: Sequence[int] = (1, 10, 100)) -> dict[int, dict[str, float]]:
    """`{depth: {language: share}}` of the hits down to each depth, mean over the run's topics."""
    frame = run.frame.select("qid", rank=pl.Series(run.ranks), language=_language_of("docid", run.frame, documents))
    languages = sorted(frame["language"].unique().to_list())
    shares = {}
    for depth in depths:
        cut = frame.filter(pl.col("rank") <= depth)
        lengths = cut.group_by("qid").len(name="length")
        counts = cut.group_by("qid", "language").len(name="hits").join(lengths, on="qid")
        sums = counts.group_by("language").agg((pl.col("hits") / pl.col("length")).sum())
        found = dict(sums.iter_rows())
        shares[depth] = {name: found.get(name, 0.0) / max(1, lengths.height) for name in languages}
    return shares


def relevant_shares(qrels: Qrels, documents: Tags) -> dict[str, float]:
    """`{language: share}` of the relevant documents, mean over the topics that have any."""
    relevant = Qrels(qrels.frame.filter(pl.col("relevance") > 0))
    as_run = Run(relevant.frame.select("qid", "docid", score=pl.lit(0.0, dtype=pl.Float32)))
    deepest = max((len(judged) for judged in relevant.as_dict().values()), default=1)
    return language_shares(as_run, documents, [deepest])[deepest]


def _language_of(column: str, frame: pl.DataFrame, tags: Tags) -> pl.Series:
    ids = frame[column]
    return pl.Series("language", [tags[one] for one in ids.to_list()], dtype=pl.String)


def _in_order(tags: Tags, ids: Sequence[str]) -> list[str]:
    return sorted({tags[one] for one in ids})

"""From run files and qrels to scores, and to what a report shows beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from clir.corpora.collection import Document
from clir.corpora.given import given_documents, given_qrels, given_topics
from clir.corpora.language_tags import language_tags
from clir.corpora.qrels import Qrels
from clir.corpora.registry import is_collection, open_collection
from clir.evaluation import gains as grades
from clir.evaluation.fairness import CUTOFF, alpha_ndcg, peer
from clir.evaluation.languages import Matrix, Tags, language_matrix, language_shares, relevant_shares
from clir.evaluation.measures import Scores, check_measures, check_together, evaluate, parse
from clir.evaluation.report import Evidence, wanted_documents
from clir.evaluation.summary import Summary
from clir.evaluation.trec_eval_10 import differences
from clir.indexing.document_languages import languages_of
from clir.runs.forms import read_run
from clir.runs.run import Run
from clir.support.errors import ClirError, UsageError
from clir.support.files import existing
from clir.support.manifest import checksums, manifest_path, read_manifest
from clir.support.progress import say

DEPTHS = (10, 100)


@dataclass(frozen=True)
class Scored:
    """Runs by their names, with their scores on the same judged topics; `baseline` and `oracle` are such names.

    whole: the runs as they were read, where `runs` are without unjudged hits (else the same);
    matrices: the first measure by topics' and documents' languages, for each run; fairness: a line for each run
    (both empty where no languages were given); checksums: of the files, for manifests.
    """

    runs: Mapping[str, Run]
    whole: Mapping[str, Run]
    paths: Mapping[str, str]
    qrels: Qrels
    measures: tuple[str, ...]
    scores: Mapping[str, Scores]
    baseline: str | None
    oracle: str | None
    matrices: Mapping[str, Matrix]
    fairness: Sequence[Mapping[str, Any]]
    checksums: Mapping[str, Any]


def score(
    paths: Sequence[str], qrels_name: str, measures: Sequence[str], *, names: Sequence[str] | None = None,
    baseline: str | None = None, oracle: str | None = None, gains: Sequence[str] | None = None,
    judged_only: bool = False, topic_languages: str | None = None, document_languages: str | None = None,
) -> Scored:  # fmt: skip
    """Read and score the runs at `paths`, with `baseline` and `oracle` among them or beside them.

    Runs go by `names`, or by their paths. Raises UsageError for a missing or repeated file and for a name that two
    runs would have, ClirError for a run that does not belong to the qrels.
    """
    parsed = parse(measures)
    labels = _labels(paths, names, {"baseline": baseline, "oracle": oracle})
    qrels = given_qrels(qrels_name)
    if gains:
        qrels = grades.regraded(qrels, grades.gains(gains))
    check_measures(parsed, qrels)
    runs = whole = {label: read_run(path) for label, path in labels.items()}
    for label, run in whole.items():
        _check_topics(label, run, qrels)
    if judged_only:
        runs = {label: grades.judged_only(run, qrels) for label, run in whole.items()}
    scores = {label: evaluate(run, qrels, parsed) for label, run in runs.items()}
    for label, run in runs.items():
        if found := differences(run, qrels, parsed, scores[label]):
            said = "; ".join(map(str, found))
            say(f"{label}: trec_eval 10, which compares scores as double and rounds levels of recall, gives {said}")
    matrices, fairness = _languages(runs, qrels, parsed[0], topic_languages, document_languages)
    files = {f"run {number}": path for number, path in enumerate(labels.values(), 1)}
    if Path(qrels_name).is_file():
        files["qrels"] = qrels_name
    return Scored(
        runs, whole, labels, qrels, tuple(map(str, parsed)), scores,
        _label_of(baseline, labels), _label_of(oracle, labels), matrices, fairness, checksums(files),
    )  # fmt: skip


def evidence(scored: Scored, summary: Summary, *, topics: str | None, corpus: str | None, qrels_name: str) -> Evidence:
    """What a report shows beside the scores: texts of topics and passages from files or from the qrels' collection
    (where there is neither, ids alone), and the runs' manifests."""
    own = open_collection(qrels_name) if is_collection(qrels_name) and not Path(qrels_name).is_file() else None
    found_topics = given_topics(topics) if topics else own.topics() if own else []
    wanted = wanted_documents(summary, scored.scores, scored.runs, scored.qrels)
    documents: dict[str, Document] = {}
    if corpus or own:
        read = given_documents(corpus).read if corpus else own.documents  # type: ignore[union-attr]
        documents = {document.docid: document for document in read() if document.docid in wanted}
        if lacking := len(wanted - documents.keys()):
            say(f"{lacking} of {len(wanted)} passages of the report are not in the corpus")
    manifests = {label: read_manifest(path) for label, path in scored.paths.items() if manifest_path(path).exists()}
    texts = {topic.qid: topic.text for topic in found_topics}
    return Evidence(scored.runs, scored.qrels, texts, documents, scored.matrices, scored.fairness, manifests)


def _labels(paths: Sequence[str], names: Sequence[str] | None, beside: Mapping[str, str | None]) -> dict[str, str]:
    """`{name: path}` in order, runs of `beside` that are not among the paths first."""
    if names and len(names) != len(paths):
        raise UsageError(f"--names has {len(names)} names for {len(paths)} runs")
    if names and len(set(names)) < len(names):
        raise UsageError("--names has the same name twice")
    seen: set[Path] = set()
    for path in paths:
        resolved = existing(path, "run").resolve()
        if resolved in seen:
            raise UsageError(f"--runs names the same file twice: {path}")
        seen.add(resolved)
    extra = {}
    for kind, name in beside.items():
        if name and (resolved := existing(name, f"{kind} run").resolve()) not in seen:
            if names and name in names:
                raise UsageError(f"--names calls a run {name}, which is the name of the {kind}: choose another")
            seen.add(resolved)
            extra[name] = name
    return {**extra, **dict(zip(names or paths, paths, strict=True))}


def _label_of(path: str | None, labels: Mapping[str, str]) -> str | None:
    if path is None:
        return None
    return next(label for label, other in labels.items() if Path(other).resolve() == Path(path).resolve())


def _check_topics(label: str, run: Run, qrels: Qrels) -> None:
    """Say how many judged topics a run lacks; ClirError if it has none of them."""
    try:
        check_together(run, qrels)
    except ClirError as error:
        raise ClirError(f"{label}: {error}") from error
    missing = len(set(qrels.topics) - set(run.topics))
    if missing:
        say(f"{label}: {missing} of {len(qrels.topics)} judged topics are not in the run and count 0")


def _languages(
    runs: Mapping[str, Run], qrels: Qrels, measure: Any, of_topics: str | None, of_documents: str | None
) -> tuple[dict[str, Matrix], list[dict[str, Any]]]:
    if of_documents is None:
        return {}, []
    # Topics without judgements count nowhere, nor need their documents have a language.
    runs = {label: run.only(qrels.topics) for label, run in runs.items()}
    frames = (qrels.frame, *(run.frame for run in runs.values()))
    docids = dict.fromkeys(chain.from_iterable(frame["docid"].to_list() for frame in frames))
    documents = languages_of(of_documents, docids)
    matrices = {}
    if of_topics is not None:
        topics = language_tags(of_topics, qrels.topics)
        matrices = {label: language_matrix(run, qrels, topics, documents, measure) for label, run in runs.items()}
    return matrices, [_fairness(label, run, qrels, documents) for label, run in runs.items()] + [
        _relevant(qrels, documents)
    ]


def _fairness(label: str, run: Run, qrels: Qrels, documents: Tags) -> dict[str, Any]:
    line: dict[str, Any] = {"run": label}
    for name, values in (("PEER", peer(run, qrels, documents)), ("alpha-nDCG", alpha_ndcg(run, qrels, documents))):
        line[f"{name}@{CUTOFF}"] = sum(values.values()) / max(1, len(values))
    shares = language_shares(run, documents, DEPTHS)
    languages = sorted(set(documents.values()))
    return line | {f"{name}, {depth} hits": shares[depth].get(name, 0.0) for depth in DEPTHS for name in languages}


def _relevant(qrels: Qrels, documents: Tags) -> dict[str, Any]:
    """What the shares would be if hits were spread as the relevant documents are."""
    shares = relevant_shares(qrels, documents)
    line: dict[str, Any] = {"run": "relevant documents", f"PEER@{CUTOFF}": "", f"alpha-nDCG@{CUTOFF}": ""}
    languages = sorted(set(documents.values()))
    return line | {f"{name}, {depth} hits": shares.get(name, 0.0) for depth in DEPTHS for name in languages}

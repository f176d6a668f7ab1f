"""Fusion within each language of the documents, and one ranking of what comes out: languages on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from clir.runs.fusion.fusing import check, fused, shares, side_by_side
from clir.runs.fusion.methods import Parameters
from clir.runs.fusion.together import shared_topics
from clir.runs.run import Run, canonical
from clir.support.errors import UsageError


def fuse_by_language(
    runs: Sequence[Run],
    languages: Mapping[str, str],
    method: str,
    *,
    hits: int | None = 1000,
    tag: str | None = None,
    **parameters: Any,
) -> Run:
    """Fuse one or more runs separately for the documents of each language, then order all documents by their score.

    `languages` has the language of every docid of the runs. Whatever the method reads (ranks, scores normalised,
    documents that a run lacks) is taken within the language, so a language whose scores are high in general has no
    advantage. Within a topic every language then reaches the same highest scores, whether or not it has an answer;
    normalization `over-topics` keeps what a score says beside those of other topics. `depth` cuts each language.

    Other parameters and errors as for `fuse`; UsageError, too, if all documents are in one language.
    """
    check(max(2, len(runs)), method, hits=hits, **(parameters | _weights_of_one(runs, parameters)))
    if len(codes := sorted({languages[docid] for run in runs for docid in run.frame["docid"].unique()})) < 2:
        raise UsageError(f"all documents are in one language ({''.join(codes)}): there is nothing to put on one scale")
    columns = [run.frame["docid"].replace_strict(dict(languages), return_dtype=pl.String) for run in runs]
    scaled = {name: value for name, value in parameters.items() if name in ("normalization", "missing", "depth")}
    chosen = Parameters(parameters.get("rrf_k", 60), shares(len(runs), parameters.get("weights")))
    by_code = []
    for code in codes:
        parts = [Run(run.frame.filter(column == code), run.tag) for run, column in zip(runs, columns, strict=True)]
        by_code.append(fused(side_by_side(parts, method, **scaled), method, chosen, None, tag))
    merged = _merged(by_code, shared_topics(runs))
    return (merged.cut(hits) if hits else merged).distinct()


def _merged(parts: Sequence[Run], topics: Sequence[str]) -> Run:
    frame = pl.concat([part.frame for part in parts])
    place = {qid: at for at, qid in enumerate(topics)}
    order = np.argsort(frame["qid"].replace_strict(place, return_dtype=pl.Int64).to_numpy(), kind="stable")
    return Run(canonical(frame[order]), parts[0].tag)


def _weights_of_one(runs: Sequence[Run], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What `check`, which asks for two runs, is to hear of the weight of a single one."""
    weights = parameters.get("weights")
    return {"weights": [*weights, *weights]} if weights is not None and len(runs) == 1 else {}

"""Pseudo-relevance feedback for BM25: a second search with terms of the first one's best documents, by Anserini."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clir.support.errors import UsageError

# Anserini's RM3 reads no more of the first ranking than this.
RM3_DEPTH = 50
# Lists are no longer than Java's arrays, weights no greater than their squares can be told apart from infinity.
MOST, HEAVIEST = (1 << 31) - 1, 1e18


@dataclass(frozen=True)
class RM3:
    """RM3 (Abdul-Jaleel et al., TREC 2004) with Pyserini's defaults.

    The best `documents` give `terms`, weighted by frequency and by the documents' scores; the second query is
    `weight` times the topic's own terms and 1 - `weight` times these, both of sum 1. Terms of one character, of more
    than 20, or in more than a tenth of the documents are left out.

    ascii_terms: leave out terms with other characters than a to z and 0 to 9, as Pyserini does unless told otherwise;
    None: only in an English index, since no other would keep its terms.
    """

    terms: int = 10
    documents: int = 10
    weight: float = 0.5
    ascii_terms: bool | None = None

    def __post_init__(self) -> None:
        _check_counts(terms=self.terms, documents=self.documents)
        if self.documents > RM3_DEPTH:
            raise UsageError(f"RM3 reads at most {RM3_DEPTH} documents of a topic, not {self.documents}")
        if not 0 <= self.weight <= 1:
            raise UsageError(f"RM3's weight of the topic is between 0 and 1, not {self.weight}")

    def depth(self, k: int) -> int:
        """How many hits to search for where `k` are wanted."""
        return k

    def apply(self, searcher: Any, analyzer: str) -> None:
        """Have an Anserini SimpleSearcher, whose index has `analyzer`, search with this feedback."""
        ascii_terms = analyzer == "en" if self.ascii_terms is None else self.ascii_terms
        searcher.set_rm3(None, self.terms, self.documents, float(self.weight), False, ascii_terms)


@dataclass(frozen=True)
class Rocchio:
    """Rocchio's feedback (in Salton, The SMART Retrieval System, 1971) with Pyserini's defaults.

    The second query is `alpha` times the topic's terms, plus `beta` times the `terms` heaviest in the mean of the
    best `documents`, and with `gamma` above 0 minus `gamma` times the `bottom_terms` heaviest in the mean of the last
    `bottom_documents` that were found; all three of length 1. Terms of one character, of more than 20, or in more
    than a tenth of the documents are left out.

    As many hits are searched for as `documents` at least, so that asking for fewer cuts the ranking and changes
    nothing else; with `gamma` the last documents are those of the ranking asked for.
    """

    terms: int = 10
    documents: int = 10
    alpha: float = 1.0
    beta: float = 0.75
    gamma: float = 0.0
    bottom_terms: int = 10
    bottom_documents: int = 10

    def __post_init__(self) -> None:
        _check_counts(
            terms=self.terms, documents=self.documents, bottom_terms=self.bottom_terms,
            bottom_documents=self.bottom_documents,
        )  # fmt: skip
        for name, value in (("alpha", self.alpha), ("beta", self.beta), ("gamma", self.gamma)):
            if not 0 <= value <= HEAVIEST:
                raise UsageError(f"Rocchio's {name} is a number from 0 to {HEAVIEST:g}, not {value}")

    def depth(self, k: int) -> int:
        """How many hits to search for where `k` are wanted."""
        return max(k, self.documents)

    def apply(self, searcher: Any, analyzer: str) -> None:
        """Have an Anserini SimpleSearcher search with this feedback."""
        searcher.set_rocchio(
            None, self.terms, self.documents, self.bottom_terms, self.bottom_documents,
            float(self.alpha), float(self.beta), float(self.gamma), False, self.gamma > 0,
        )  # fmt: skip


TermFeedback = RM3 | Rocchio


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise UsageError(f"feedback needs at least 1 of {name.replace('_', ' ')}, not {count}")
        if count > MOST:
            raise UsageError(f"feedback takes at most {MOST:,} of {name.replace('_', ' ')}, not {count:,}")

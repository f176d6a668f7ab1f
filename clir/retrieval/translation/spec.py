"""Translation as a command names it: `human`, `dictionary:FILE`, `table:FILE`, `psq:FILE`, or a model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from clir.corpora.collection import Collection, topic_language
from clir.corpora.languages import same_language
from clir.encoding.encoder import HUB_ID
from clir.retrieval.psq import Cutoffs, StructuredQueries
from clir.retrieval.translation.cache import CachedTranslator
from clir.retrieval.translation.dictionary import ENDINGS, SENSES, DictionaryTranslator, Senses
from clir.retrieval.translation.seq2seq import BATCH_SIZE, BEAMS, MAX_TOKENS, Seq2SeqTranslator
from clir.retrieval.translation.table_source import ReadPairs, TableTranslator, table_source
from clir.retrieval.translation.translator import UNTRANSLATED, HumanTranslator, Translator, Untranslated
from clir.support.errors import UsageError, unknown

# What follows the colon of each kind.
FILES = {
    "dictionary": f"FILE ({', '.join(ENDINGS[:2])} as FreeDict has it, or .tsv)",
    "table": "FILE (a translation table .tsv, or bitext to learn one from)",
    "psq": "FILE (a translation table .tsv, or bitext to learn one from)",
}
KNOWN = ("human", *(f"{kind}:FILE" for kind in FILES), "MODEL")


@dataclasses.dataclass(frozen=True)
class TranslationOptions:
    """What the kinds of translation can be told; each takes its own.

    human: fields (of the topics); dictionary: senses; dictionary, table: untranslated; psq: cutoffs; a model: beams,
    batch_size, max_tokens, device.
    """

    fields: tuple[str, ...] | None = None
    senses: Senses = "first"
    untranslated: Untranslated = "keep"
    cutoffs: Cutoffs = dataclasses.field(default_factory=Cutoffs)
    beams: int = BEAMS
    batch_size: int = BATCH_SIZE
    max_tokens: int = MAX_TOKENS
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.senses not in SENSES:
            raise unknown("choice of senses", self.senses, SENSES)
        if self.untranslated not in UNTRANSLATED:
            raise unknown("way with untranslated words", self.untranslated, UNTRANSLATED)


def make_translator(
    spec: str,
    source: str,
    target: str,
    *,
    collection: Collection | None = None,
    options: TranslationOptions | None = None,
    read_pairs: ReadPairs | None = None,
    cache: Path | None = None,
) -> Translator | StructuredQueries:
    """What translates topics from `source` into `target` (languages by any of their codes) as `spec` says.

    - `human`: the topics that `collection` has in the target language;
    - `dictionary:FILE`: `.tei` or `.tsv`;
    - `table:FILE`: each word by its best translation in a table (`.tsv`), or in one learned from bitext, which is
      named as for training; several pieces have `+` between them, and `read_pairs` reads and cleans them;
    - `psq:FILE`: the same tables, but the query keeps all likely translations, and BM25 counts with their
      probabilities. This gives `StructuredQueries`, which make a searcher, and no topics;
    - a folder or a hub id (`org/model`): a sequence-to-sequence model of transformers.

    Translations are kept on disk (`cache`: where, by default in clir's cache) and found by texts and provenance.
    Files and folders are looked for here; what is in them is read when it is first needed.

    Raises UsageError for a spec that is none of these, what is missing, and languages that are the same.
    """
    options = options or TranslationOptions()
    if same_language(source, target):
        raise UsageError(f"topics and documents are both in {target!r}: there is nothing to translate")
    kind, colon, what = spec.partition(":")
    if kind == "human":
        return _human(collection, target, what if colon else None, options.fields)
    if kind in FILES:
        if not what:
            raise UsageError(f"{kind} needs a file: {kind}:{FILES[kind]}")
        return _by_file(kind, what, source, target, options, read_pairs, cache)
    path = Path(spec)
    if path.is_file():
        raise UsageError(f"{spec} is a file: say what it is, {' or '.join(f'{kind}:{spec}' for kind in FILES)}")
    if not path.is_dir() and not HUB_ID.match(spec):
        if colon:
            raise unknown("kind of translation", kind, ("human", *FILES))
        raise unknown("translation", spec, KNOWN)
    model = Seq2SeqTranslator(
        spec, source, target, beams=options.beams, batch_size=options.batch_size, max_tokens=options.max_tokens,
        device=options.device,
    )  # fmt: skip
    return CachedTranslator(model, cache)


def _human(
    collection: Collection | None, target: str, file: str | None, fields: tuple[str, ...] | None
) -> HumanTranslator:
    if file is not None:
        raise UsageError("human translations come with a collection, not from a file: write human")
    if collection is None:
        raise UsageError("human translations come with a collection's topics; these topics are from a file")
    return HumanTranslator(collection, topic_language(collection, target), fields)


def _by_file(
    kind: str, what: str, source: str, target: str, options: TranslationOptions, read: ReadPairs | None,
    cache: Path | None,
) -> Translator | StructuredQueries:  # fmt: skip
    if kind == "dictionary":
        chosen = DictionaryTranslator(what, source, senses=options.senses, untranslated=options.untranslated)
        return CachedTranslator(chosen, cache)
    table = table_source(what, source, target, read=read, root=cache / "tables" if cache else None)
    if kind == "psq":
        return StructuredQueries(table, options.cutoffs)
    return CachedTranslator(TableTranslator(table, options.untranslated), cache)

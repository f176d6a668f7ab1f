"""The files that the recorded cases read: invented, small, and the same bytes on every machine."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from recording import models

WHO = {
    "The teacher": "Mwalimu", "My sister": "Dada yangu", "The nurse": "Muuguzi", "Our neighbour": "Jirani yetu",
    "The farmer": "Mkulima", "A driver": "Dereva", "The cook": "Mpishi", "The child": "Mtoto",
}  # fmt: skip
WHAT = {
    "drinks clean water": "anakunywa maji safi", "goes to the market": "anaenda sokoni",
    "reads a long letter": "anasoma barua ndefu", "waits for the rain": "anasubiri mvua",
    "sells ripe mangoes": "anauza maembe mabivu", "repairs the old roof": "anatengeneza paa la zamani",
    "asks about the law": "anauliza kuhusu sheria", "pays for the ticket": "analipia tiketi",
}  # fmt: skip
WORDS = {
    "mwalimu": "teacher", "dada": "sister", "muuguzi": "nurse", "jirani": "neighbour", "mkulima": "farmer",
    "dereva": "driver", "mpishi": "cook", "mtoto": "child", "maji": "water", "safi": "clean", "sokoni": "market",
    "barua": "letter", "mvua": "rain", "maembe": "mangoes", "paa": "roof", "sheria": "law", "tiketi": "ticket",
}  # fmt: skip
# Ids that are easily taken for something else.
IDS = ("001", "1", "NA", "null", "1e3", *(f"d{number:02}" for number in range(5, 20)))
TOPICS = ("01", "1", "q3", "q4", "q5", "q6", "q7", "q8")


def make(folder: Path) -> None:
    """Write every file and model folder that the cases read into `folder`."""
    _documents(folder)
    _topics(folder)
    _bitext(folder)
    _runs(folder)
    _submissions(folder)
    _plans(folder)
    _broken(folder)
    words = {word.lower() for text in (*WHO, *WHO.values(), *WHAT, *WHAT.values()) for word in text.split()}
    models.bert(folder / "tiny", words, hidden=32, seed=1)
    models.bert(folder / "other", words, hidden=24, seed=2)
    models.xlm_roberta(folder / "xlmr", words, hidden=32, seed=3)


def lines(path: Path, texts: Iterable[str]) -> None:
    """One of `texts` a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(text + "\n" for text in texts), "utf-8")


def records(path: Path, values: Iterable[Any]) -> None:
    """One of `values` as JSON a line."""
    lines(path, (json.dumps(value, ensure_ascii=False) for value in values))


def sentence(at: int, table: dict[str, str] | Sequence[str], others: dict[str, str] | Sequence[str]) -> str:
    """The at-th of the 64 sentences, of subjects and predicates."""
    return f"{list(table)[at // 8 % 8]} {list(others)[at % 8]}."


def english(at: int) -> str:
    """The at-th English sentence."""
    return sentence(at, WHO, WHAT)


def swahili(at: int) -> str:
    """Its translation."""
    return sentence(at, list(WHO.values()), list(WHAT.values()))


def _documents(folder: Path) -> None:
    docs = [
        {"id": docid, "contents": " ".join(english((7 * at + 11 * more) % 64) for more in range(1 + at % 4))}
        | ({"title": list(WHAT)[at % 8].capitalize()} if at % 3 == 0 else {})
        for at, docid in enumerate(IDS)
    ]
    records(folder / "docs.jsonl", docs)
    foreign = [{"id": f"sw{at}", "contents": f"{swahili(9 * at % 64)} {swahili(5 * at % 64)}"} for at in range(8)]
    mixed = [{**doc, "language": "en"} for doc in docs[:10]] + [{**doc, "language": "sw"} for doc in foreign]
    records(folder / "mixed.jsonl", mixed)
    lines(folder / "languages.tsv", (f"{doc['id']}\t{doc['language']}" for doc in mixed))
    lines(folder / "docs.tsv", ["id\ttext", *(f"{doc['id']}\t{doc['contents']}" for doc in docs)])
    lines(folder / "docs.trec", (f"<DOC><DOCNO>{d['id']}</DOCNO><TEXT>{d['contents']}</TEXT></DOC>" for d in docs))
    draw = random.Random(3)
    vectors = [{"id": doc["id"], "vector": [draw.randint(-64, 64) / 64 for _ in range(32)]} for doc in docs]
    records(folder / "embeddings.jsonl", vectors)


def _topics(folder: Path) -> None:
    chosen = [(qid, 9 * at % 64) for at, qid in enumerate(TOPICS)]
    lines(folder / "topics.tsv", (f"{qid}\t{swahili(at)}" for qid, at in chosen))
    lines(folder / "topics.en.tsv", (f"{qid}\t{english(at)}" for qid, at in chosen))
    fields = [{"topic_id": qid, "title": swahili(at), "description": swahili(at + 1)} for qid, at in chosen]
    records(folder / "topics.jsonl", fields)
    lines(
        folder / "topics.trec",
        (f"<top>\n<num> Number: {qid}\n<title> {english(at)}\n<desc> Description:\n{english(at + 1)}\n</top>"
         for qid, at in chosen),
    )  # fmt: skip
    draw = random.Random(4)
    judged = [(qid, docid, draw.choice((0, 0, 1, 2, 3))) for qid in TOPICS for docid in sorted(draw.sample(IDS, 7))]
    lines(folder / "qrels.txt", (f"{qid} 0 {docid} {grade}" for qid, docid, grade in judged))
    lines(
        folder / "qrels.beir.tsv",
        ["query-id\tcorpus-id\tscore", *(f"{qid}\t{docid}\t{grade}" for qid, docid, grade in judged)],
    )
    aspects = [f"{qid} {1 + at % 3} {docid} {int(grade > 0)}" for at, (qid, docid, grade) in enumerate(judged)]
    lines(folder / "aspects.txt", aspects)
    mixed = [f"{qid} 0 {docid} {1 + at % 2}" for at, qid in enumerate(TOPICS) for docid in ("001", f"sw{at}", "d05")]
    lines(folder / "mixed.qrels", mixed)
    lines(folder / "topic-languages.tsv", (f"{qid}\t{'sw' if at % 2 else 'en'}" for at, qid in enumerate(TOPICS)))


def _bitext(folder: Path) -> None:
    lines(folder / "news.en", map(english, range(64)))
    lines(folder / "news.sw", map(swahili, range(64)))
    lines(folder / "news.tsv", (f"{english(at)}\t{swahili(at)}" for at in range(64)))
    records(folder / "news.jsonl", ({"en": english(at), "sw": swahili(at)} for at in range(64)))
    units = "".join(
        f'<tu><tuv xml:lang="en"><seg>{english(at)}</seg></tuv>'
        f'<tuv xml:lang="ha"><seg>{swahili(63 - at)}</seg></tuv></tu>'
        for at in range(0, 64, 2)
    )
    lines(folder / "more.tmx", [f'<tmx version="1.4"><header srclang="en"/><body>{units}</body></tmx>'])
    lines(folder / "dictionary.tsv", (f"{word}\t{translation}" for word, translation in WORDS.items()))
    entries = "".join(
        f'<entry><form><orth>{word}</orth></form><sense><cit type="trans"><quote>{said}</quote></cit></sense></entry>'
        for word, said in WORDS.items()
    )
    lines(
        folder / "dictionary.tei",
        [f'<TEI xmlns="http://www.tei-c.org/ns/1.0"><text><body>{entries}</body></text></TEI>'],
    )
    table = [f"{word}\t{said}\t0.75\n{word}\tthe\t0.25" for word, said in WORDS.items()]
    lines(folder / "table.tsv", ["source\ttarget\tprobability", *table])


def _runs(folder: Path) -> None:
    for seed, name in enumerate(("a", "b", "c"), 5):
        draw = random.Random(seed)
        # Each run lacks one topic and some documents, and has ties.
        hits = [
            (qid, docid, draw.randint(1, 400) / 16)
            for qid in TOPICS
            if qid != TOPICS[seed - 2]
            for docid in draw.sample(IDS, 12)
        ]
        ranked = sorted(hits, key=lambda hit: (TOPICS.index(hit[0]), -hit[2], hit[1]))
        lines(folder / f"{name}.run", (f"{qid} Q0 {docid} 1 {score} {name}" for qid, docid, score in ranked))
    draw = random.Random(9)
    ids = [*IDS[:10], *(f"sw{at}" for at in range(8))]
    mixed = [(qid, docid, draw.randint(1, 400) / 16 + docid.startswith("sw")) for qid in TOPICS for docid in ids]
    lines(folder / "mixed.run", (f"{qid} Q0 {docid} 1 {score} mixed" for qid, docid, score in mixed))
    tagged = [(qid, f"{code}-{at}", at * 7 % 5 + 0.5) for qid in ("1", "2") for code in ("en", "sw") for at in range(4)]
    lines(folder / "tagged.run", (f"{qid} Q0 {docid} 1 {score} tagged" for qid, docid, score in tagged))
    lines(folder / "tagged.qrels", (f"{qid} 0 {code}-2 1" for qid in ("1", "2") for code in ("en", "sw")))
    with gzip.GzipFile(folder / "a.run.gz", "wb", mtime=0) as packed:
        packed.write((folder / "a.run").read_bytes())


def _submissions(folder: Path) -> None:
    uuid = "0000000{}-0000-4000-8000-000000000000"
    shapes = {
        "trec": ("d{}", "ours"), "ciral": ("BBC#{}#0", "ours"), "miracl": ("{}#0", "ours"),
        "neuclir": (uuid, "fas-us-AND_one"),
    }  # fmt: skip
    lines(folder / "tracks/topics.tsv", (f"{qid}\t{english(qid)}" for qid in (101, 102)))
    for name, (docid, tag) in shapes.items():
        hits = [f"{qid} Q0 {docid.format(at)} {at} {9 - at}.5 {tag}" for qid in (101, 102) for at in (1, 2, 3)]
        lines(folder / f"tracks/{name}.sw.run", hits)
        lines(folder / f"tracks/{name}.again.sw.run", (line.replace(".5 ", ".25 ") + "-2" for line in hits))
    for name, depth, prefix in (("mmarco", 3, ""), ("msmarco", 1000, ""), ("msmarco-doc", 100, "D")):
        ranked = [f"{qid}\t{prefix}{at}\t{at}" for qid in (101, 102) for at in range(1, depth + 1)]
        lines(folder / f"tracks/{name}.dev.tsv", ranked)
        lines(folder / f"tracks/{name}.eval.tsv", ranked)
    about = ["team: us", "contact: us@example.org", "description: BM25"]
    lines(folder / "tracks/about.yaml", about)
    asked = ["query_language: eng", "topic_fields: title", "retrieval: full", "kind: neural", "intervention: automatic"]
    lines(folder / "tracks/neuclir.yaml", [*about, *asked])
    good = [f"{qid} Q0 d{at} {at} {9 - at}.5 ours" for qid in (101, 102) for at in (1, 2, 3)]
    bad = [good[0], good[1].replace("7.5", "8.75"), good[2].replace("d3", "d1"), *good[3:5], "102 Q0 d4 3 6.5"]
    lines(folder / "tracks/bad.run", bad)
    mine = ["name: my-track", "title: My track", "sources: [https://example.org]", "form: trec", "hits: {most: 2}"]
    archive = [
        'archive: {format: zip, run: "runs/{tag}.txt", metadata: about.json}',
        "metadata: {format: json, fields: {}}",
    ]
    lines(folder / "tracks/mine.yaml", [*mine, *archive])


def _plans(folder: Path) -> None:
    training = {"batch_size": 8, "max_tokens": 16, "precision": "fp32", "learning_rate": 5e-3}
    plan = {
        "teachers": "tiny", "bitext": "sw=news.en,news.sw", "collections": "demo/sw", "losses": ["ot", "mse"],
        "seeds": [1], "budgets": {"steps": 2, "pairs": 40}, "training": training, "hits": 20,
    }  # fmt: skip
    lines(folder / "plan.yaml", [json.dumps(plan)])
    lines(folder / "plan.bad.yaml", [json.dumps({**plan, "losses": ["otto"]})])
    recipe = {"teacher": "tiny", "steps": 2, **training}
    lines(folder / "recipe.yaml", [json.dumps(recipe)])
    lines(folder / "recipe.bad.yaml", [json.dumps({**recipe, "stepps": 3})])
    passages = {"corpus": "docs.jsonl", "count": 4}
    lines(folder / "relevance.yaml", [json.dumps({**recipe, "loss": "relevance", "passages": passages})])
    early = {"by": "bitext", "pairs": 16, "every": 2, "patience": 1}
    lines(folder / "early.yaml", [json.dumps({**recipe, "steps": 4, "loss": "mse", "early_stopping": early})])
    solver = {"name": "sinkhorn", "epsilon": 0.05, "iterations": 20}
    lines(folder / "loss.yaml", [json.dumps({**recipe, "loss": {"name": "ot", "solver": solver}})])
    for name, score in (("results", 0.18), ("results.off", 0.9)):
        expected = {"run": "a.run", "qrels": "qrels.txt", "scores": {"AP": score}}
        step = {"name": "one", "commands": ["python -m clir.evaluate --qrels qrels.txt --runs a.run"]}
        lines(folder / f"{name}.yaml", [json.dumps({"about": "a", "steps": [{**step, "expected": [expected]}]})])


def _broken(folder: Path) -> None:
    bad = folder / "bad"
    lines(bad / "nan.run", ["01 Q0 001 1 nan a"])
    lines(bad / "twice.run", ["01 Q0 001 1 2.0 a", "01 Q0 001 2 1.0 a"])
    lines(bad / "short.run", ["01 Q0 001 1 2.0 a", "01 Q0 NA"])
    lines(bad / "foreign.run", ["x9 Q0 001 1 2.0 a"])
    lines(bad / "empty.run", [])
    lines(bad / "half.qrels", ["01 0 001 0.5"])
    lines(bad / "twice.qrels", ["01 0 001 1", "01 0 001 2"])
    lines(bad / "topics.tsv", ["01\tmaji", "02"])
    lines(bad / "twice.tsv", ["01\tmaji", "01\tmvua"])
    lines(bad / "docs.jsonl", ['{"id": "d1", "contents": "maji"}', '{"contents": "no id"}'])
    lines(bad / "twice.jsonl", ['{"id": "d1", "contents": "maji"}'] * 2)
    lines(bad / "json.jsonl", ['{"id": "d1", "contents": '])
    lines(bad / "short.sw", ["Maji."])
    lines(bad / "table.tsv", ["source\ttarget\tprobability", "maji\twater\tmuch"])
    (bad / "latin.tsv").write_bytes("01\tcaf\u00e9\n".encode("latin-1"))
    (bad / "cut.run.gz").write_bytes((folder / "a.run.gz").read_bytes()[:200])
    (bad / "model").mkdir()
    lines(bad / "model/config.json", ["{}"])

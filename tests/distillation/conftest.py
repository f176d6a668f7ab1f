"""Invented bitext, and models in other spaces than MiniLM's, for the tests of distillation."""

from pathlib import Path

import pytest

from clir.corpora.bitext import Pair

WHO = {
    "The teacher": "Mwalimu",
    "My sister": "Dada yangu",
    "The nurse": "Muuguzi",
    "Our neighbour": "Jirani yetu",
    "The farmer": "Mkulima",
    "A driver": "Dereva",
    "The cook": "Mpishi",
    "The child": "Mtoto",
}
WHAT = {
    "drinks clean water": "anakunywa maji safi",
    "goes to the market": "anaenda sokoni",
    "reads a long letter": "anasoma barua ndefu",
    "waits for the rain": "anasubiri mvua",
    "sells ripe mangoes": "anauza maembe mabivu",
    "repairs the old roof": "anatengeneza paa la zamani",
    "asks about the law": "anauliza kuhusu sheria",
    "pays for the ticket": "analipia tiketi",
}


@pytest.fixture(scope="session")
def pairs() -> list[Pair]:
    """64 English sentences and their Swahili translations."""
    return [Pair(f"{a} {b}.", f"{c} {d}.", "sw") for a, c in WHO.items() for b, d in WHAT.items()]


@pytest.fixture(scope="session")
def turned(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MiniLM behind a fixed rotation of its token states: a teacher in another space, with the same neighbours."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

    rotation, _ = torch.linalg.qr(torch.randn(384, 384, generator=torch.Generator().manual_seed(7)))
    dense = Dense(
        384, 384, bias=False, activation_function=None, init_weight=rotation, module_input_name="token_embeddings"
    )
    folder = tmp_path_factory.mktemp("models") / "turned"
    modules = [Transformer(str(minilm)), dense, Pooling(384), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder), create_model_card=False)
    return folder

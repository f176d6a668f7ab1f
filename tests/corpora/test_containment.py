"""What stands inside another text is found, wherever it begins and ends; nothing else is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clir.corpora import containment
from clir.corpora.bitext import Pair
from clir.corpora.containment import SHORTEST, Containers
from clir.corpora.leakage import TestTexts


@given(
    st.lists(st.text("ab", max_size=120), max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 100), st.integers(0, 60)), max_size=6),
    st.lists(st.text("ab", max_size=40), max_size=4),
)
def test_it_is_what_looking_through_every_text_finds(
    texts: list[str], cuts: list[tuple[int, int, int]], others: list[str]
) -> None:
    parts = [texts[which % len(texts)][begin : begin + length] for which, begin, length in cuts if texts]
    asked = parts + others
    expected = [len(one) >= SHORTEST and any(one in text for text in texts) for one in asked]
    assert Containers(texts).hold(asked).tolist() == expected


def test_blocks_change_nothing(monkeypatch) -> None:
    draw = np.random.default_rng(0)
    texts = ["".join(draw.choice(list("abcdefgh "), size)) for size in draw.integers(0, 400, 60)]
    asked = [text[7:47] for text in texts] + ["".join(draw.choice(list("abcdefgh "), 40)) for _ in range(20)]
    whole = Containers(texts).hold(asked)
    monkeypatch.setattr(containment, "BLOCK", 500)
    assert whole.sum() > 40 and not whole[-20:].any()
    assert (Containers(texts).hold(asked) == whole).all()


def test_sentences_leak_from_texts_whose_sentences_are_not_cut() -> None:
    headline = (
        "Minister resigns after long night of talks In the morning the party chose another, Gen. J. Smith of St. Louis."
    )
    chinese = "这座城市位于河流的北岸，人口超过三百万。它的大学建于十九世纪末，今天有四万名学生在那里学习。"
    thai = "กรุงเทพมหานครเป็นเมืองหลวงและนครที่มีประชากรมากที่สุดของประเทศไทย ตั้งอยู่บนสามเหลี่ยมปากแม่น้ำเจ้าพระยา"
    tests = TestTexts([headline, chinese, thai])
    leaking = [
        "Minister resigns after long night of talks",
        "In the morning the party chose another, Gen. J. Smith of St. Louis.",
        "它的大学建于十九世纪末，今天有四万名学生在那里学习。",
        "เมืองหลวงและนครที่มีประชากรมากที่สุดของประเทศไทย",
    ]
    assert all(tests.leaks([Pair(side, "x", "sw") for side in leaking]))
    assert all(tests.leaks([Pair("x", side, "sw") for side in leaking]))
    assert not any(tests.leaks([Pair("long night of talks", "the party chose", "sw")]))  # too common to tell

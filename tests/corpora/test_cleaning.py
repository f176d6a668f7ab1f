"""Cleaning of bitext, and the leakage check against a brute-force version of its own definition."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clir.corpora.bitext import Pair, read_bitext
from clir.corpora.cleaning import clean, remove_leaks
from clir.corpora.leakage import CONTAINED_SHINGLES, TestTexts, shingles
from clir.corpora.text import normalised


def pair(english: str, foreign: str, language: str = "sw") -> Pair:
    return Pair(english, foreign, language)


def test_normalised_keeps_letters_marks_and_digits_only() -> None:
    assert normalised("  Don't STOP, at 5:30!\u200b") == "dontstopat530"
    assert normalised("\uff21\ufb01") == "afi", "compatibility forms"
    assert normalised("की") != normalised("का"), "vowel signs distinguish words"
    assert normalised("«…» — ?") == ""


def test_clean_drops_and_counts() -> None:
    pairs = [
        pair("The well is dry.", "Kisima kimekauka."),
        pair("the WELL is dry", "kisima kimekauka!"),
        pair("The well is dry.", "Kisima kimekauka.", "so"),
        pair("The well is dry.", "Kisima hakina maji."),
        pair("Nairobi", "NAIROBI."),
        pair("...", "Ndiyo."),
        pair("Yes, and we have been waiting here since the early morning hours.", "Nd."),
        pair("No.", "Hapana kabisa."),
        pair("word " * 300, "neno " * 300),
    ]
    kept, report = clean(pairs)
    assert kept == [pairs[0], pairs[2], pairs[3], pairs[7]]
    assert report == Counter(
        {
            "kept": 4,
            "duplicate": 1,
            "sides are the same": 1,
            "no letters": 1,
            "lengths differ too much": 1,
            "too long": 1,
        }
    )
    assert clean(pairs, max_ratio=100, max_characters=10_000)[1]["kept"] == 6


TEST_TEXTS = [
    "How do I keep maize dry after the harvest?",
    "Nifanyeje ili mahindi yakauke baada ya mavuno?",
    "Store grain in a tight bin. Weevils need air to live and breed in stored grain. See a trader",
]


@pytest.mark.parametrize(
    ("leak", "reason"),
    [
        (pair("how do I keep maize dry after the harvest", "x"), "english is in the test"),
        (pair("x", "Nifanyeje ili mahindi yakauke baada ya mavuno"), "foreign is in the test"),
        (pair("x", "How do I keep maize dry after the harvest?"), "foreign is in the test"),
        (pair("Store grain in a tight bin!", "x"), "english is in the test"),
        (pair("How do I keep my maize dry after the harvest?", "x"), "english is nearly in the test"),
        (pair("x", "Nifanyaje ili mahindi yakauke baada ya mavuno"), "foreign is nearly in the test"),
        (
            pair("As the old farmers say, weevils need air to live and breed in stored grain, and so do mice.", "x"),
            "english is nearly in the test",
        ),
    ],
)
def test_leaks_are_removed(leak: Pair, reason: str) -> None:
    assert remove_leaks([leak], TEST_TEXTS) == ([], Counter({reason: 1, "kept": 0}))


@pytest.mark.parametrize(
    "fine",
    [
        pair("How do I keep goats out of the garden after the harvest?", "Nifanyeje ili mbuzi wasiingie?"),
        pair("Grain", "Nafaka"),
        pair("See", "Ona"),
        pair("The trader came early, so see a trader early if you would sell.", "Mfanyabiashara alikuja mapema."),
    ],
)
def test_what_is_no_leak_stays(fine: Pair) -> None:
    assert remove_leaks([fine], TEST_TEXTS) == ([fine], Counter({"kept": 1}))


def test_nothing_to_compare_with() -> None:
    assert remove_leaks([pair("one", "moja")], []) == ([pair("one", "moja")], Counter({"kept": 1}))
    assert remove_leaks([pair("one", "moja")], ["", "...", "abc"])[1] == Counter({"kept": 1})


def test_a_sentence_of_a_side_leaks_like_the_side() -> None:
    both = pair("We came home late that night. How do I keep my maize dry after the harvest? Nobody knew.", "x")
    assert remove_leaks([both], TEST_TEXTS)[1] == Counter({"english is nearly in the test": 1, "kept": 0})
    assert remove_leaks([pair("x", both.english)], TEST_TEXTS)[1]["foreign is nearly in the test"] == 1
    short = pair("See a trader. We came home late that night.", "x")
    assert remove_leaks([short], TEST_TEXTS)[1]["kept"] == 1, "too common as a part of others"


def test_a_short_text_of_scraps_is_compared_as_a_whole() -> None:
    tests = ["What did Dr. J. K. Mwangi say in 1962?"]
    leak = pair("What did Dr. J. K. Mwangi say in 1963?", "x")
    assert remove_leaks([leak], tests)[1]["english is nearly in the test"] == 1


LETTERS = st.text(st.characters(categories=("Lu", "Ll", "Lo", "Nd")), min_size=12, max_size=60)


@settings(max_examples=60)
@given(LETTERS, st.sampled_from([" ", "\t", ", ", "-", "\u200b"]), st.sampled_from([str.upper, str.lower, str.title]))
def test_case_punctuation_and_space_hide_no_leak(text: str, between: str, change: Callable[[str], str]) -> None:
    hidden = between.join(text.split()) + between + "!"
    # Some letters have no way back from capitals (ı, ΐ); they are no matter of leakage.
    if normalised(change(text)) == normalised(text):
        hidden = change(hidden)
    test = TestTexts([text])
    assert test.leaks([pair(hidden, "x"), pair("x", hidden)]) == ["english is in the test", "foreign is in the test"]


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_many_at_once_are_judged_as_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    sides = ["".join(chance.choices("abcd. ", k=chance.choice([0, 3, 30, 60]))) for _ in range(30)]
    sides += [side[:40] + "d" + side[41:] for side in sides]
    test = TestTexts(sides[:20])
    pairs = [pair(chance.choice(sides), chance.choice(sides)) for _ in range(20)]
    assert test.leaks(pairs) == [test.leak(one) for one in pairs]


def nearly_by_definition(side: str, tests: list[str], jaccard: float, containment: float) -> bool:
    grams = shingles(side)
    for test in tests:
        others = shingles(test)
        shared = len(grams & others)
        if shared and shared >= jaccard * len(grams | others):
            return True
        if len(others) >= CONTAINED_SHINGLES and shared >= containment * len(others):
            return True
    return False


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.7, 0.8]), st.sampled_from([0.6, 0.9, 1.0]))
def test_the_filter_never_changes_the_answer(seed: int, jaccard: float, containment: float) -> None:
    chance = random.Random(seed)

    def sentence() -> str:
        return "".join(chance.choices("abcd", k=chance.choice([3, 6, 12, 30, 60])))

    def edited(text: str) -> str:
        letters = list(chance.choice(["", sentence()]) + text)
        for _ in range(chance.randrange(4)):
            letters[chance.randrange(len(letters))] = chance.choice("abcd")
        return "".join(letters)

    tests = [sentence() for _ in range(12)]
    found = TestTexts(tests, jaccard=jaccard, containment=containment)
    for test in tests:
        side = edited(test)
        assert found.nearly(side) == nearly_by_definition(side, tests, jaccard, containment), side


@pytest.mark.parametrize(("language", "code", "leaked"), [("mr", "mar", 726), ("tl", "tgl", 245)])
def test_tatoeba_test_sentences_leave_the_tatoeba_bitext(
    language: str, code: str, leaked: int, shared_data: Path
) -> None:
    folder = shared_data / "tatoeba" / "v1"
    test = {side: (folder / f"tatoeba.{code}-eng.{side}").read_text("utf-8").splitlines() for side in (code, "eng")}
    pairs = read_bitext([str(shared_data / "bitext" / "tatoeba" / f"{code}.txt")], [language])
    there = {one.foreign for one in pairs}
    assert sum(" ".join(sentence.split()) in there for sentence in test[code]) >= leaked, "before"

    kept, report = remove_leaks(pairs, test[code] + test["eng"])
    assert len(kept) == report["kept"] > 0.9 * len(pairs)
    left = {normalised(side) for one in kept for side in one[:2]}
    assert not [sentence for side in test.values() for sentence in side if normalised(sentence) in left]

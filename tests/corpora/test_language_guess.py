"""The language guess: it finds sides in a wrong language, and leaves alone what it cannot know."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from clir.corpora.bitext import Pair, read_bitext
from clir.corpora.cleaning import clean
from clir.corpora.language_guess import words, wrong_languages

# Made-up languages: each has its own syllables.
SYLLABLES = {
    "en": ["the", "ing", "tion", "wha", "ough", "ly", "ment", "str", "igh", "ed"],
    "sw": ["ku", "wa", "na", "ki", "ya", "mba", "ndi", "sha", "ni", "za"],
    "ha": ["ƙa", "da", "rin", "tsa", "ɗi", "ya", "gw", "bba", "uwa", "kum"],
    "mr": ["क", "ची", "आ", "हे", "णा", "त्या", "मध", "ला", "ने", "वर"],
}


def sentences(language: str, count: int, seed: int = 1) -> list[str]:
    chance = random.Random(f"{language} {seed}")
    vocabulary = ["".join(chance.choices(SYLLABLES[language], k=chance.choice([1, 2, 3]))) for _ in range(300)]
    return [" ".join(chance.choices(vocabulary, k=8)) + "." for _ in range(count)]


def bitext(count: int, *codes: str) -> list[Pair]:
    return [
        Pair(english, foreign, code)
        for number, code in enumerate(codes)
        for english, foreign in zip(sentences("en", count, number), sentences(code, count), strict=True)
    ]


def test_what_is_wrong_is_named() -> None:
    pairs = bitext(200, "sw", "ha", "mr")
    english, swahili, hausa = (sentences(code, 1, 9)[0] for code in ("en", "sw", "ha"))
    wrong = {
        3: (Pair(pairs[3].english, english, "sw"), "foreign side is English"),
        5: (Pair(pairs[5].english, hausa, "sw"), "foreign side is another language"),
        210: (Pair(hausa, english, "ha"), "sides are swapped"),
        410: (Pair(swahili, pairs[410].foreign, "mr"), "english side is not English"),
        220: (Pair(hausa, swahili, "ha"), "foreign side is another language"),
    }
    for at, (pair, _) in wrong.items():
        pairs[at] = pair
    found = wrong_languages(pairs)
    assert {at: reason for at, reason in enumerate(found) if reason} == {
        at: reason for at, (_, reason) in wrong.items()
    }


def test_clean_counts_it_and_can_leave_it_out() -> None:
    pairs = bitext(200, "sw", "ha")
    pairs[3] = Pair(pairs[3].english, sentences("en", 1, 9)[0], "sw")
    kept, report = clean(pairs)
    assert report == Counter({"kept": 399, "foreign side is English": 1})
    assert report.examples() == {"foreign side is English": [pairs[3]]}
    assert kept == pairs[:3] + pairs[4:]
    assert clean(pairs, language_guess=False)[0] == pairs


def test_no_side_votes_for_itself() -> None:
    pairs = bitext(200, "sw", "ha")
    # One and the same English text under many Swahili sentences teaches nothing about itself.
    english = sentences("en", 1, 9)[0]
    for at in range(0, 60):
        pairs[at] = Pair(pairs[at].english, english, "sw")
    assert wrong_languages(pairs)[:60] == ["foreign side is English"] * 60
    assert not any(wrong_languages(pairs)[60:])


def test_short_sides_and_languages_without_text_are_not_judged() -> None:
    pairs = bitext(200, "sw")
    few = bitext(5, "ha")
    short = Pair("kuwana.", "theing.", "sw")
    assert wrong_languages([*pairs, short]) == [""] * 201
    assert wrong_languages([*pairs, short], letters=6)[-1] == "sides are swapped"
    assert wrong_languages([*pairs, *few]) == [""] * 205
    english_as_hausa = [Pair(pair.english, other.english, "ha") for pair, other in zip(few, pairs, strict=False)]
    assert wrong_languages([*pairs, *english_as_hausa]) == [""] * 205, "five lines are no language"
    assert wrong_languages(few) == [""] * 5
    assert wrong_languages([]) == []
    assert wrong_languages([Pair("...", "!", "sw")]) == [""]


def test_filipino_and_tagalog_are_one_language() -> None:
    pairs = [
        Pair(english, foreign, "fil" if at % 2 else "tl") for at, (english, foreign, _) in enumerate(bitext(200, "sw"))
    ]
    assert not any(wrong_languages(pairs))


def test_digits_marks_and_case_do_not_matter() -> None:
    assert words("Don't STOP, at 5:30! कि") == " don t stop at कि "
    assert words("123 ...") == "  "


def test_the_same_guess_under_any_hash_seed() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests/corpora'); import test_language_guess as t\n"
        "pairs = t.bitext(100, 'sw', 'ha'); pairs[3] = t.Pair(pairs[3].foreign, pairs[3].english, 'sw')\n"
        "print([at for at, reason in enumerate(t.wrong_languages(pairs, margin=.01)) if reason])"
    )
    root = Path(__file__).resolve().parents[2]
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(said) == 1
    assert "3" in said.pop()


SPECS = (
    "ha=tico19/all.en-ha.tmx", "so=tico19/all.en-so.tmx", "fil=tico19/all.en-tl.tmx", "mr=tatoeba/mar.txt",
    "sw=mafand/en-swa/dev.en,mafand/en-swa/dev.swa", "yo=mafand/en-yor/dev.en,mafand/en-yor/dev.yor",
    "ig=mafand/en-ibo/dev.en,mafand/en-ibo/dev.ibo",
)  # fmt: skip


def noisy(pairs: list[Pair], share: float) -> tuple[list[Pair], list[str]]:
    """The pairs with a share of them spoilt, and how each was."""
    chance = random.Random(1)
    spoilt, kinds = [], []
    for pair in pairs:
        kind = chance.choice(["english", "another", "swapped"]) if chance.random() < share else ""
        other = chance.choice(pairs)
        while other.language == pair.language:
            other = chance.choice(pairs)
        spoilt.append(
            {
                "": pair,
                "english": pair._replace(foreign=other.english),
                "another": pair._replace(foreign=other.foreign),
                "swapped": Pair(pair.foreign, pair.english, pair.language),
            }[kind]
        )
        kinds.append(kind)
    return spoilt, kinds


@pytest.mark.parametrize("most", [300, 3000])
def test_on_public_bitext(most: int, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shared_data / "bitext")
    pieces = [clean(read_bitext([spec]), language_guess=False)[0] for spec in SPECS]
    pairs = [pair for piece in pieces for pair in piece[:most]]
    assert sum(map(bool, wrong_languages(pairs))) < 0.005 * len(pairs), "real pairs stay"

    spoilt, kinds = noisy(pairs, 0.1)
    long = [min(sum(map(str.isalpha, side)) for side in pair[:2]) >= 20 for pair in spoilt]
    found = [bool(reason) for reason in wrong_languages(spoilt)]
    for kind in ("english", "another", "swapped"):
        judged = [yes for yes, one, enough in zip(found, kinds, long, strict=True) if one == kind and enough]
        assert sum(judged) > 0.95 * len(judged) > 20, kind
    fine = [yes for yes, one in zip(found, kinds, strict=True) if not one]
    assert sum(fine) < 0.005 * len(fine)

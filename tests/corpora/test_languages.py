"""Language codes: BCP-47 primary codes, and the data sets' own spellings of them."""

import pytest

from clir.corpora.languages import language, language_name, matching, same_language, spellings
from clir.support.errors import UsageError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sw", "sw"), ("swa", "sw"), ("swh", "sw"), ("SW", "sw"), ("sw-KE", "sw"), ("so_SO", "so"), ("hau", "ha"),
        ("yor", "yo"), ("ibo", "ig"), ("zul", "zu"), ("twi", "tw"), ("bem", "bem"), ("kin", "rw"), ("som", "so"),
        ("amh", "am"), ("eng", "en"), ("eng-GB", "en"), ("tgl", "tl"), ("fil", "fil"), ("mar", "mr"),
        ("aze-Latn", "az"), ("zho-CN", "zh"), ("cmn", "zh"), ("pes", "fa"), ("fas", "fa"),
        ("bre", "br"), ("ina", "ia"), ("kzj", "kzj"), ("mul", "mul"),
    ],
)  # fmt: skip
def test_codes_become_bcp47(given: str, expected: str) -> None:
    assert language(given) == expected


def test_filipino_and_tagalog_are_distinct_codes_for_one_language() -> None:
    assert language("fil") != language("tl")
    assert same_language("tgl", "fil")
    assert not same_language("tl", "sw")
    assert matching("tl", ["sw", "fil"]) == "fil"
    assert matching("tl", ["fil", "tl"]) == "tl", "the exact code wins"
    assert matching("so", ["fil"]) is None


def test_names_and_spellings() -> None:
    assert language_name("swh") == "Swahili"
    assert language_name("arz") == "Egyptian Arabic"
    assert spellings("swa") == ("sw", "swa", "swh")


@pytest.mark.parametrize("wrong", ["xx", "", "english please", "s w"])
def test_an_unknown_language_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError, match="unknown language"):
        language(wrong)


def test_a_language_name_is_answered_with_its_code() -> None:
    with pytest.raises(UsageError, match="unknown language 'Swahili'; Swahili is 'sw'"):
        language("Swahili")

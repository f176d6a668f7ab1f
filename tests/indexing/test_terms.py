"""Terms for any language: Unicode's words in one form, and subwords of a tokenizer made here."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from clir.indexing.terms import Subwords, UnicodeWords, subwords_of
from clir.support.errors import ClirError, UsageError


def words(text: str, fold: bool = False) -> list[str]:
    return UnicodeWords(fold=fold).cut([text])[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wapi maji safi? Bei: 3.50", "wapi maji safi bei 3.50"),
        # Apostrophes of any kind stand inside words.
        ("Ng’ombe, ng'ombe NGʼOMBE", "ng'ombe ng'ombe ng'ombe"),
        # Composed, decomposed, upper case.
        ("ọjà o\u0323ja\u0300 ỌJÀ", "ọjà ọjà ọjà"),
        ("Ƙasa ɗan BƁ", "ƙasa ɗan bɓ"),
        # Joiners are invisible, digits are of one kind; vowel signs and the virama stay.
        ("गाडी\u200dच्या २०१९ किमती।", "गाडीच्या 2019 किमती"),
        ("የውኃ፡ዋጋ ስንት ነው?", "የውኃ ዋጋ ስንት ነው"),
        # No spaces between words: neighbouring characters, each with its marks.
        ("ปลาดี 5", "ปล ลา าดี 5"),
        ("ตลาด", "ตล ลา าด"),
        ("水井 の水", "水井 の水"),
        ("ﬁsh ＦＩＳＨ № 7", "fish fish no 7"),
        ("Straße STRASSE", "strasse strasse"),
        (" -- ? … ", ""),
        ("", ""),
    ],
)
def test_words_of_many_scripts(text: str, expected: str) -> None:
    assert words(text) == expected.split()


def test_folding_takes_accents_off_where_they_are_accents() -> None:
    assert words("Ọjà ńlá, ƙasa ɗaya, đường Ærø", fold=True) == ["oja", "nla", "kasa", "daya", "duong", "aero"]
    assert words("مَدْرَسَة Ёлка άλφα", fold=True) == ["مدرسة", "елка", "αλφα"]
    # A vowel sign is no accent.
    for text in ("किमती", "የውኃ", "ปลาดี"):
        assert words(text, fold=True) == words(text)


@given(st.text())
def test_one_text_in_any_form_gives_one_list_of_terms(text: str) -> None:
    for fold in (False, True):
        terms = words(text, fold)
        assert all(term.split() == [term] for term in terms)
        for form in ("NFC", "NFD"):
            assert words(unicodedata.normalize(form, text), fold) == terms


@given(st.text(st.characters(categories=["Ll", "Lu", "Nd", "Zs", "Po"])))
def test_terms_are_cut_no_further(text: str) -> None:
    # Runs without spaces give pairs of characters, which are runs again.
    terms = words(text)
    assert words(" ".join(terms)) == terms


def tokenizer(**model: object) -> str:
    made = Tokenizer(models.WordPiece({"[UNK]": 0, "ki": 1, "##sima": 2, "maji": 3, "ya": 4, "?": 5}, **model))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made.to_str()


def test_subwords_are_the_vocabularys_without_signs_and_unknowns() -> None:
    cutter = Subwords(tokenizer(unk_token="[UNK]"))
    assert cutter.cut(["Maji ya KISIMA?", "zebra maji", ""]) == [["maji", "ya", "ki", "##sima"], ["maji"], []]
    assert cutter.unknown == 1


def test_subwords_in_a_row_of_characters_that_begin_no_piece() -> None:
    pieces = [("<unk>", 0.0), ("▁", -3.0), ("▁maji", -2.0), ("kisima", -2.0), (".", -2.0)]
    made = Tokenizer(models.Unigram(pieces, unk_id=0))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    cutter = Subwords(made.to_str())
    assert cutter.cut(["maji kisima."]) == [["▁maji", "kisima"]]


def test_what_bounds_a_tokenizers_length_is_no_part_of_it() -> None:
    settings = json.loads(tokenizer(unk_token="[UNK]"))
    bounded = {**settings, "truncation": {"max_length": 1, "strategy": "LongestFirst", "stride": 0,
                                          "direction": "Right"}}  # fmt: skip
    ours, theirs = Subwords(json.dumps(settings, indent=1)), Subwords(json.dumps(bounded))
    assert ours.sha256 == theirs.sha256
    assert theirs.cut(["maji ya maji"]) == [["maji", "ya", "maji"]]
    settings["model"]["vocab"]["maji"], settings["model"]["vocab"]["ya"] = 4, 3
    assert Subwords(json.dumps(settings)).sha256 != ours.sha256


def test_models_without_a_tokenizer(tmp_path) -> None:
    with pytest.raises(UsageError, match="no model '"):
        subwords_of(str(tmp_path / "nowhere"))
    (tmp_path / "config.json").write_text('{"model_type": "bert", "hidden_size": 8}')
    with pytest.raises(UsageError, match=r"has no tokenizer\.json"):
        subwords_of(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text('{"model": "none"}')
    with pytest.raises(ClirError, match=r"tokenizer\.json is no tokenizer: ") as caught:
        subwords_of(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_subwords_of_a_model(minilm) -> None:
    assert subwords_of(str(minilm)).cut(["Unbelievable wells!"]) == [["unbelievable", "wells"]]

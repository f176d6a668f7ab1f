"""Escapes of HTML and Moses, tokenizers' joiners and tags in sentences: undone once, or found and kept."""

import html
import html.entities

import pytest

from clir.corpora.escapes import ESCAPES, JOINERS, STILL_ESCAPED, SUBWORDS, TAGS, unescaped, without_escapes


def moses(text: str) -> str:
    """What Moses' deescape-special-chars.perl does, rule by rule in its order."""
    for escape, character in (
        ("&bar;", "|"), ("&#124;", "|"), ("&lt;", "<"), ("&gt;", ">"), ("&bra;", "["), ("&ket;", "]"),
        ("&quot;", '"'), ("&apos;", "'"), ("&#91;", "["), ("&#93;", "]"), ("&amp;", "&"),
    ):  # fmt: skip
        text = text.replace(escape, character)
    return text


@pytest.mark.parametrize(
    "text",
    [
        "Tom &amp; Amina &quot;went&quot; home .",
        "it &apos;s &#91; late &#93; &#124; now",
        "a &bar; b &bra; c &ket;",
        "3 &lt; 4 &amp;&amp; 5 &gt; 4",
        "the entity &amp;lt; is written so",
        "AT&T, R&B, Q&A; a < b",
    ],
)
def test_moses_escapes_are_undone_as_moses_does(text: str) -> None:
    assert unescaped(text) == moses(text)


def test_every_name_of_html() -> None:
    names = [name for name in html.entities.html5 if name.endswith(";")]
    assert len(names) > 2000
    for name in names:
        assert unescaped(f"a&{name}b") == html.unescape(f"a&{name}b")


@pytest.mark.parametrize("text", ["&#39;", "&#x27;", "&#X1F600;", "&#128;", "&#0;", "&#xD800;", "&#99999999999;"])
def test_numbers_are_read_as_html_reads_them(text: str) -> None:
    assert unescaped(text) == html.unescape(text)


@pytest.mark.parametrize("text", ["AT&T", "R&B;", "x &copy y", "&notit;", "a < b & c > d", "&;", "&#;", "&#x;", "&amp"])
def test_what_does_not_end_or_has_no_meaning_is_text(text: str) -> None:
    found: set[str] = set()
    assert without_escapes(text, found) == text
    assert not found


@pytest.mark.parametrize(
    ("text", "expected", "met"),
    [
        ("&amp;lt;b", "&lt;b", {ESCAPES, STILL_ESCAPED}),
        ("&lt;b&gt;bold", "<b>bold", {ESCAPES, TAGS}),
        ("well @-@ known and 1 @,@ 000", "well-known and 1,000", {JOINERS}),
        ("@-@ alone, a @-@", "@-@ alone, a @-@", set()),
        ("write to a@b.org", "write to a@b.org", set()),
        ('<seg id="1">A well</seg>', '<seg id="1">A well</seg>', {TAGS}),
        ("1 <2 and 3> 2, <a b> or <-", "1 <2 and 3> 2, <a b> or <-", set()),
        ("the we@@ ll", "the we@@ ll", {SUBWORDS}),
    ],
)
def test_what_is_found(text: str, expected: str, met: set[str]) -> None:
    found: set[str] = set()
    assert without_escapes(text, found) == expected
    assert found == met

"""JSON records are the same whichever way their writer laid them out, and a fault has its line."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clir.support.errors import ClirError
from clir.support.json_records import BLOCK, json_records

KEYS = st.text(max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(st.dictionaries(KEYS, VALUES, max_size=4), max_size=6)


def read(text: str) -> list[tuple[str, dict[str, Any]]]:
    return list(json_records(io.StringIO(text, newline="\n"), "f"))


@given(RECORDS, st.booleans())
def test_every_layout_gives_the_same_records(records: list[dict[str, Any]], ascii_only: bool) -> None:
    one = [json.dumps(record, ensure_ascii=ascii_only) for record in records]
    indented = [json.dumps(record, ensure_ascii=ascii_only, indent=2) for record in records]
    layouts = [
        "\n".join(one), "\r\n".join(one) + "\r\n", "\n\n".join(indented), "\n".join(indented) + "\n",
        json.dumps(records, ensure_ascii=ascii_only), json.dumps(records, ensure_ascii=ascii_only, indent=1),
        "\n[\n" + ",\n".join(one) + "\n]\n",
    ]  # fmt: skip
    for text in layouts:
        assert [record for _, record in read(text)] == records


@pytest.mark.parametrize("indent", [None, 1])
def test_records_that_are_longer_than_what_is_read_at_once(indent: int | None) -> None:
    records = [{"id": f"d{at}", "text": "well " * (BLOCK // (3 if at % 2 else 50))} for at in range(40)]
    assert [record for _, record in read(json.dumps(records, indent=indent))] == records
    spread = "\n".join(json.dumps(record, indent=indent) for record in records)
    assert [record for _, record in read(spread)] == records


def test_each_record_has_the_line_on_which_it_begins() -> None:
    assert [where for where, _ in read('\n{"a": 1}\n\n{"a": 2}\n')] == ["f:2", "f:4"]
    assert [where for where, _ in read('[\n{"a": 1},\n\n{"a":\n2}, {}]')] == ["f:2", "f:4", "f:5"]
    assert [where for where, _ in read('\n{\n"a": 1\n}\n{\n}')] == ["f:2", "f:5"]


@pytest.mark.parametrize(
    "text, said",
    [
        ('{"a": 1}\n{"a" 2}\n', "f:2: not JSON: Expecting ':' delimiter at character 6"),
        ('{"a": 1}\nyes\n', "f:2: not JSON: Expecting value at character 1"),
        ('{"a": "b\n{"a": 1}\n', "f:1: not JSON: Unterminated string at character 7"),
        ('{"a": 1} {"b": 2}\n{}\n', "f:1: not JSON: Extra data at character 10"),
        ('{"a": 1, "a": 2}\n', "f:1: the key 'a' stands twice in one object: only one of its values would be read"),
        ('{}\n{"x": {"a": 1, "a": 1}}', "f:2: the key 'a' stands twice in one object"),
        ('[{"a": 1, "a": 2}]', "f:1: the key 'a' stands twice in one object"),
        ('{\n"a": 1,\n"a": 2}', "f:1: the key 'a' stands twice in one object"),
        ('[\n{"a": 1},\n{"a" 2}]', "f:3: not JSON: Expecting ':' delimiter"),
        ('[\n{"a": 1}\n{"a": 2}]', "f:3: not JSON: no comma"),
        ('[\n{"a": 1},\n', "f:3: not JSON: what begins here is not whole"),
        ('[\n{"a": 1},\n{"a":', "f:3: not JSON: what begins here is not whole"),
        ('{"a": 1}\n\n{"a":', "f:3: not JSON: what begins here is not whole"),
        ('\n[\n{"a": 1}\n', "f:4: the list that begins on line 2 is not closed"),
        ('[{"a": 1}]\n{"a": 2}', "f:2: not JSON: something stands behind the list"),
        ('[{"a": 1}, 7]', "f:1: not a JSON object: 7"),
        ('"a"\n', "f:1: not a JSON object: 'a'"),
        ('{\n"a": 1,\n"b": wrong\n}\n' + "\n" * BLOCK, "f:3: not JSON: Expecting value"),
    ],
)
def test_what_is_wrong_and_where(text: str, said: str) -> None:
    with pytest.raises(ClirError) as error:
        read(text)
    assert str(error.value).startswith(said)


def test_a_list_is_read_as_it_comes() -> None:
    class Endless(io.StringIO):
        def __init__(self) -> None:
            super().__init__()
            self.given = 0

        def read(self, size: int | None = -1, /) -> str:
            self.given += 1
            return "[" * (self.given == 1) + '{"a": 1},' * 100

    endless = Endless()
    records = json_records(endless, "f")
    assert [next(records)[1]["a"] for _ in range(1000)] == [1] * 1000
    assert endless.given < 20

"""Tables: what is a cell is decided by the file, and a row that does not fit is named."""

import csv
import io
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clir.corpora.tables import is_quoted, records, rows
from clir.support.errors import ClirError, UsageError

CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@pytest.mark.parametrize(
    "text, quoted",
    [
        ('1\t"Who sang ""Deep Well"" first?"\n', True),
        ('1\t"""Deep Well"": whose song?"\n2\tplain\n', True),
        ('1\tWho sang "Deep Well" first?\n', False),
        # In quotes as a whole: nothing says that they are not the text's own.
        ('1\t"Deep Well"\n', False),
        # A sentence that begins with speech shows that quotes are text.
        ('1\t"Who sang ""Deep Well"" first?"\n2\t"Go," he said.\n', False),
        ('1\t"Go home.\t2\n3\tNow."\n', False),
        ('1\t5" pipe\n', False),
        ("1\tplain\n", False),
        ('1\t""\n', False),
        ('1\t""""\n', True),
    ],
)
def test_whether_quotes_are_those_of_csv(text: str, quoted: bool) -> None:
    assert is_quoted(io.StringIO(text)) is quoted


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=6))
def test_what_a_spreadsheet_quotes_is_read_back(table: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows(table)
    lines = text.getvalue()
    read = [row.cells for row in rows(io.StringIO(lines), "t.tsv", quoted=is_quoted(io.StringIO(lines)))]
    assert read == [row for row in table if any(cell.strip() for cell in row) or '"' in "".join(row)]


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=6))
def test_cells_with_commas_lines_and_quotes(table: list[list[str]]) -> None:
    table = [[f"{one},\n{two}", two] for one, two in table]
    text = io.StringIO()
    csv.writer(text).writerows(table)
    assert [row.cells for row in rows(io.StringIO(text.getvalue(), newline=""), "t.csv")] == table


def test_rows_know_their_lines() -> None:
    read = list(rows(io.StringIO('id,text\n\n1,"two\nlines"\n2,b\n'), "t.csv"))
    assert [row.where for row in read] == ["t.csv:1", "t.csv:3", "t.csv:5"]


def test_records_of_csv_and_parquet_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text('id,contents\n001,"The well, ""deep"""\nNA,null\n')
    table = pyarrow.table({"id": ["001", "NA"], "contents": ['The well, "deep"', "null"], "n": [None, 2]})
    pyarrow.parquet.write_table(table, tmp_path / "d.parquet")
    expected = [{"id": "001", "contents": 'The well, "deep"'}, {"id": "NA", "contents": "null"}]
    assert [record for _, record in records(tmp_path / "d.csv", "documents")] == expected
    found = list(records(tmp_path / "d.parquet", "documents"))
    assert [record for _, record in found] == [expected[0], {**expected[1], "n": 2}]
    assert [where.removeprefix(str(tmp_path)) for where, _ in found] == ["/d.parquet: row 1", "/d.parquet: row 2"]


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("d.csv", b"id,text\n1,a\n2\n", "d.csv:3: 1 columns, not the 2 of the header (id, text)"),
        ("d.csv", b"id,id\n1,a\n", "d.csv:1: two columns are named 'id'"),
        ("d.csv", b'id,text\n1,"a\n2,b\n', "d.csv:2: not CSV from here on: unexpected end of data"),
        ("d.parquet", b"id,text\n", "d.parquet is not a Parquet file"),
        ("d.parquet", b"PAR1 and no more", "d.parquet is not a whole Parquet file"),
    ],
)
def test_what_is_refused_and_where(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ClirError) as error:
        list(records(tmp_path / name, "documents"))
    assert str(error.value).removeprefix(f"{tmp_path}/").startswith(said)


def test_a_missing_file() -> None:
    with pytest.raises(UsageError, match=r"documents not found: nowhere\.csv"):
        list(records("nowhere.csv", "documents"))

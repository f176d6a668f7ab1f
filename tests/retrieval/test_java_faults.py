"""What Java and Lucene cannot do is one plain line: no frames, no signatures, no class names to decipher."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clir.corpora.collection import Document, Topic
from clir.indexing.lucene import build_lucene_index
from clir.retrieval.bm25 import BM25Searcher
from clir.retrieval.term_feedback import RM3, Rocchio
from clir.support.errors import ClirError, UsageError
from clir.support.jvm import java_reason

JARGON = re.compile(r"JVM exception|Exception|\.java:|\bjava\.|lucene\.|matching your arguments|jclass|\n")
TOPICS = [Topic("1", "river bank")]


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    documents = [Document(f"d{number}", f"the river {number} and its bank") for number in range(20)]
    return build_lucene_index(documents, tmp_path_factory.mktemp("java") / "index", "en", store=["docvectors"])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def version(number: int) -> Callable[[Path], None]:
    """Change the format's version, which stands behind the codec's name."""

    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[data.index(b"segments") + 11] = number
        path.write_bytes(data)

    return change


@pytest.mark.parametrize(
    ("pattern", "spoil", "message"),
    [
        ("segments_*", cut, r"it is damaged \(segments_1\): build it again"),
        ("segments_*", empty, r"it is damaged \(segments_1\): build it again"),
        ("segments_*", version(99), r"a newer Lucene than this Anserini's wrote it \(segments_1\): build it again"),
        ("segments_*", version(1), r"an older Lucene than this Anserini reads wrote it \(segments_1\): build it again"),
        ("*.tim", Path.unlink, r"its file _0_\w+\.tim is missing: build it again"),
        ("*.fdt", Path.unlink, r"its file _0\.fdt is missing: build it again"),
        ("*.dvd", Path.unlink, r"its file _0_\w+\.dvd is missing: build it again"),
        ("*.tim", cut, r"it is damaged \(_0_\w+\.tim\): build it again"),
        ("*.fnm", cut, r"it is damaged \(_0\.fnm\): build it again"),
    ],
)
def test_a_damaged_index_is_named_with_the_file(
    pattern: str, spoil: Callable[[Path], None], message: str, english: Path, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(english, tmp_path / "broken"))
    (file,) = broken.glob(pattern)
    spoil(file)
    with pytest.raises(ClirError, match=f"^cannot open {broken}: {message}$"):
        BM25Searcher(broken).search(TOPICS, 5)


def test_a_query_beyond_lucenes_limit_says_so(english: Path) -> None:
    longest = " ".join(f"w{number}" for number in range((1 << 20) + 1))
    with pytest.raises(ClirError, match=f"^cannot search {english}: the query has too many terms$"):
        BM25Searcher(english).search([*TOPICS, Topic("2", longest)], 5)


def test_numbers_that_java_does_not_hold(english: Path) -> None:
    whole = BM25Searcher(english).search(TOPICS, 20)
    assert len(whole) == 20
    assert BM25Searcher(english, threads=1 << 40).search(TOPICS, 1 << 40).frame.equals(whole.frame)
    for wrong in (1e300, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="k1 is a number from 0 up"):
            BM25Searcher(english, k1=wrong)
    with pytest.raises(UsageError, match=r"at most 2,147,483,647 of terms, not 1,099,511,627,776"):
        RM3(terms=1 << 40)
    with pytest.raises(UsageError, match=r"alpha is a number from 0 to 1e\+18, not 1e\+300"):
        Rocchio(alpha=1e300)
    assert len(BM25Searcher(english, feedback=Rocchio(alpha=1e18)).search(TOPICS, 5)) == 5


def test_half_a_character_in_a_topic_is_passed_over(english: Path) -> None:
    assert len(BM25Searcher(english).search([Topic("1", "river \ud800 bank \x00")], 5)) == 5


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space", "Java has not enough memory"),
        ("java.io.IOException: No space left on device", "the disk is full"),
        ("java.nio.file.AccessDeniedException: /proc/1/mem", "there is no right to read it (mem)"),
        ("org.apache.lucene.search.IndexSearcher$TooManyClauses: maxClauseCount is set to 8", "too many terms"),
        ("java.lang.IllegalStateException: cannot", "IllegalStateException: cannot"),
    ],
)  # fmt: skip
def test_what_a_log_says_is_told_plainly(said: str, plain: str) -> None:
    told = java_reason(said)
    assert plain in told and "java." not in told and "lucene." not in told


def test_the_command_says_one_line(english: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(english, tmp_path / "broken"))
    cut(next(broken.glob("*.tim")))
    (tmp_path / "topics.tsv").write_text("1\triver\n")
    command = f"-m clir.search --topics topics.tsv --index {broken} --method bm25 --output out.run"
    done = subprocess.run([sys.executable, *command.split()], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"python -m clir.search: cannot open {broken}: it is damaged (_0_")
    assert not JARGON.search(line)

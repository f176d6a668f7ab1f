"""Texts are read as sentence-transformers reads them, with the tokenizer files that models have on the hub."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import hub_folders
import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer

from clir.encoding.encoder import load_encoder
from clir.encoding.folder import read_folder
from clir.encoding.tokenizer import normal_form, read_tokenizer
from clir.encoding.tower import Tower, load_tower
from clir.support.errors import ClirError

SPACED = {"trailing ": "trailing", "  a  b ": "a b", "\ta\n": "a", " ": "", "\n": "", "\u00a0nbsp\u00a0": "nbsp"}


def assert_read_alike(folder: Path) -> None:
    """Every text has sentence-transformers' vector, alone and among the others, on both sides."""
    from sentence_transformers import SentenceTransformer

    theirs, ours = SentenceTransformer(str(folder), device="cpu", local_files_only=True), load_encoder(str(folder))
    texts = list(hub_folders.TEXTS)
    for expected, found in (
        (theirs.encode_query(texts), ours.encode_queries(texts)),
        (theirs.encode_document(texts), ours.encode_documents(texts)),
        (theirs.encode_query(texts), np.concatenate([ours.encode_queries([text]) for text in texts])),
        (np.stack([theirs.encode_document(text) for text in texts]), ours.encode_documents(texts)),
    ):
        wrong = {text: gap for text, gap in zip(texts, np.abs(expected - found).max(1), strict=True) if gap > 1e-5}
        assert not wrong


@pytest.mark.parametrize("kind", hub_folders.SENTENCE_KINDS)
def test_small_models_of_every_layout(kind: str, tmp_path: Path) -> None:
    assert_read_alike(hub_folders.make(kind, tmp_path / kind))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["minilm", "e5"])
def test_real_models(name: str, request: pytest.FixtureRequest) -> None:
    assert_read_alike(request.getfixturevalue(name))


def test_t5s_tokenizer_gives_the_librarys_ids(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = hub_folders.transformer(tmp_path / "t5", hub_folders.t5_tokenizer, hub_folders.t5_config)
    ours, theirs = read_tokenizer(folder), AutoTokenizer.from_pretrained(folder)
    for text in hub_folders.TEXTS:
        assert ours.encode(text).ids == theirs(text)["input_ids"], text


@pytest.mark.parametrize("kind", ["e5", "bge-m3"])
def test_white_space_at_the_ends_is_nothing_to_xlm_r(kind: str, tmp_path: Path) -> None:
    import sentencepiece

    folder = hub_folders.make(kind, tmp_path / kind)
    ours = read_tokenizer(folder)
    trained = sentencepiece.SentencePieceProcessor(model_proto=hub_folders.sentencepiece_model())
    for text, bare in SPACED.items():
        assert ours.encode(text).ids == ours.encode(bare).ids
        # The reading that the vocabulary was trained with.
        assert ours.encode(text, add_special_tokens=False).tokens == trained.encode(text, out_type=str)


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Tower:
    folder = hub_folders.make("bge-m3", tmp_path_factory.mktemp("models") / "bge")
    return load_tower(read_folder(folder, "query"))


def test_spans_are_characters_of_the_text_as_it_is(tower: Tower) -> None:
    texts = ["  maji  safi ", "\u3000全角 ", "", " "]
    for prompt in ("", "query: "):
        covered = [
            {at for begin, end in spans for at in range(begin, end) if not text[at].isspace()}
            for text, spans in zip(texts, tower.spans(texts, prompt), strict=True)
        ]
        assert covered == [{2, 3, 4, 5, 8, 9, 10, 11}, {1, 2}, set(), set()]
        words = [[token.text for token in tokens] for tokens in tower.token_strings(texts, prompt)]
        assert ["".join(shown) for shown in words] == ["majisafi", "全角", "", ""]


def test_lower_case_is_the_tokenizers_and_leaves_places_and_special_tokens(tmp_path: Path) -> None:
    tower = load_tower(read_folder(hub_folders.make("cased-bert-lowered", tmp_path / "bert"), "query"))
    upper, lower = tower.token_ids(["THE BUS", "the bus"])
    assert upper == lower
    # In lower case İ is two characters: what follows keeps its place.
    text = "İİ BUS"
    spans = tower.spans([text])[0]
    assert text[spans[-1][0] : spans[-1][1]].endswith("S") and spans[-1][1] == len(text)
    mask = tower.tokenizer.token_to_id("[MASK]")
    assert mask in tower.token_ids(["[MASK]"])[0]


def test_texts_are_cut_from_the_side_that_the_folder_says(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = hub_folders.make("e5", tmp_path / "e5")
    change(folder / "tokenizer_config.json", truncation_side="left")
    tower = load_tower(read_folder(folder, "query"))
    text = "the nurse drinks clean water before the rain comes " * 9
    (row,) = tower.rows([text], max_tokens=12)
    expected = AutoTokenizer.from_pretrained(folder)(text, truncation=True, max_length=12)["input_ids"]
    assert list(row.ids) == expected
    assert tower.token_ids([text])[0] == AutoTokenizer.from_pretrained(folder)(text, truncation=True)["input_ids"]


def test_a_tokenizer_is_made_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIR_CACHE", str(tmp_path / "cache"))
    made = hub_folders.make("bge-m3", tmp_path / "bge"), hub_folders.make("e5", tmp_path / "e5")
    expected = [normal_form(read_tokenizer(folder)) for folder in made]
    program = (
        "import json, sys; from pathlib import Path; "
        "from clir.encoding.tokenizer import normal_form, read_tokenizer; "
        "print(json.dumps([normal_form(read_tokenizer(Path(name))) for name in sys.argv[1:]])); "
        "assert not {'transformers', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, *map(str, made)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(json.dumps(expected))
    for entry in (tmp_path / "cache" / "tokenizers").iterdir():
        entry.write_text("{damaged")
    assert [normal_form(read_tokenizer(folder)) for folder in made] == expected


@pytest.mark.parametrize("broken", ["", "{}", '{"model": 3}', "not JSON"])
def test_a_broken_tokenizer_is_one_line(broken: str, tmp_path: Path) -> None:
    folder = hub_folders.make("e5", tmp_path / "e5")
    (folder / "sentencepiece.bpe.model").unlink()
    (folder / "tokenizer.json").write_text(broken)
    with pytest.raises(ClirError, match=r"^cannot load the tokenizer in .*e5: .+$"):
        read_tokenizer(folder)


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values), "utf-8")


def test_accents_that_stay_are_not_accents_of_which_nothing_is_said() -> None:
    forms = []
    for accents in (None, False, True):
        tokenizer = Tokenizer(WordPiece({"[UNK]": 0, "e": 1, "é": 2}, unk_token="[UNK]"))
        tokenizer.normalizer = BertNormalizer(lowercase=True, strip_accents=accents)
        forms.append((normal_form(tokenizer), tokenizer.encode("É").ids))
    (unsaid, dropped), (kept, stays), (stripped, gone) = forms
    assert (dropped, stays, gone) == ([1], [2], [1])
    assert unsaid != kept != stripped

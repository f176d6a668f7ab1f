"""The model libraries leave the terminal to us."""

import subprocess
import sys
from pathlib import Path


def test_loading_a_model_and_encoding_prints_nothing(minilm: Path) -> None:
    code = (
        "import sys\n"
        "from clir.encoding.encoder import load_encoder\n"
        "assert load_encoder(sys.argv[1]).encode_queries(['water']).shape == (1, 384)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(minilm)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_naming_a_model_imports_neither_torch_nor_transformers(minilm: Path) -> None:
    code = (
        "import sys\n"
        "from clir.encoding.encoder import load_encoder\n"
        "encoder = load_encoder(sys.argv[1])\n"
        "encoder.fingerprint('query'), encoder.dimension\n"
        "print(sorted({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(minilm)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")

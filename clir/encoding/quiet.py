"""Keep the model libraries' own bars and reports off the terminal: progress is ours to show."""

from __future__ import annotations

import functools
import os


@functools.cache
def quiet_transformers() -> None:
    """Silence transformers' and the hub client's progress bars and load reports, once per process."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()

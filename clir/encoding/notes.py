"""What a person should know of a model folder that leaves something unsaid: told once at a run, kept with an index."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from clir.encoding.folder import is_modular, read_folder
from clir.encoding.settings import read_settings
from clir.support.progress import say

# Not "e5m", "e57"; but "multilingual-e5-small", "AfriE5-large", "e5_base".
E5 = re.compile(r"e5(?![0-9a-z])", re.IGNORECASE)
# Names under which folders keep the documents' prompt where nothing looks for it.
OTHER_DOCUMENT_PROMPTS = ("passage", "corpus")


def folder_notes(name: str, folder: Path) -> tuple[str, ...]:
    """What the model `name` in `folder` does not say itself: its pooling, or prompts that it was trained with."""
    spec = read_folder(folder, "query")
    prompts = read_settings(folder / "config_sentence_transformers.json").get("prompts") or {}
    notes = []
    if not is_modular(folder) and spec.reading is None:
        how = "the last token's state" if spec.pooling == "lasttoken" else "the mean of its tokens' states"
        notes.append(
            f"the folder does not say how its tokens make one vector: it is {how}, not normalised, "
            "as sentence-transformers has it"
        )
    known = name, folder.name, str(read_settings(spec.transformer / "config.json").get("_name_or_path", ""))
    if not any(prompts.values()) and any(E5.search(part) for part in known):
        notes.append(
            "it seems to be an E5 model, but its folder names no prompts: most are trained with "
            "'query: ' and 'passage: ' before the texts, which are read without them (docs/models.md)"
        )
    unread = [key for key in OTHER_DOCUMENT_PROMPTS if prompts.get(key)]
    if unread and not prompts.get("document"):
        notes.append(
            f"the folder names a prompt {unread[0]!r} ({prompts[unread[0]]!r}) and none for 'document': "
            "documents are read without one, as sentence-transformers has it"
        )
    return tuple(notes)


@functools.cache
def say_once(name: str, note: str) -> None:
    """Tell a note on the model `name`, once in a process."""
    say(f"note: {name}: {note}")

"""The recorded Python calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CALLS: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {}

"""In which arithmetic a model reads: float32, or bfloat16 where the machine computes in it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Literal

Precision = Literal["fp32", "bf16", "auto"]


def autocast(device: str, precision: Precision) -> Any:
    """The autocast context for `precision` on `device`; nothing for float32."""
    import torch

    chosen = "bf16" if precision == "auto" and computes_bf16(device) else precision
    kind = torch.device(device).type
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=chosen == "bf16")


def computes_bf16(device: str) -> bool:
    """Whether `device` has instructions for bfloat16 (without them bf16 is slower than float32)."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = _processor_flags()
    return "avx512_bf16" in flags or "amx_bf16" in flags or "bf16" in flags


@functools.cache
def _processor_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split() for line in lines if line.lower().startswith(("flags", "features"))), []))

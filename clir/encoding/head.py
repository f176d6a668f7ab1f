"""The linear maps that a model folder has behind its transformer, as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from clir.encoding.settings import read_settings
from clir.encoding.weights import read_weights, refuse_incomplete
from clir.support.errors import ClirError


def load_head(folders: Sequence[Path], hidden: int) -> nn.Linear | None:
    """The linear maps in `folders`, one after another, as one; None if there are none.

    Raises ClirError if weights are missing, or do not fit their settings, each other or states of width `hidden`.
    """
    maps = [linear_map(folder) for folder in folders]
    if not maps:
        return None
    width = hidden
    for folder, (weight, _) in zip(folders, maps, strict=True):
        if weight.shape[1] != width:
            raise ClirError(
                f"{folder}: its weights are for vectors of {weight.shape[1]} numbers, but the model gives {width}"
            )
        width = len(weight)
    weight, bias = maps[0]
    for outer, more in maps[1:]:
        carried = more if bias is None else outer @ bias + (0 if more is None else more)
        weight, bias = outer @ weight, carried
    head = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    head.load_state_dict({"weight": weight} | ({"bias": bias} if bias is not None else {}))
    return head


def adds_input(folder: Path) -> bool:
    """Whether a Dense adds its input (itself, or through a matrix) to what it gives."""
    return bool(read_settings(folder / "config.json").get("use_residual"))


def linear_map(folder: Path) -> tuple[Tensor, Tensor | None]:
    """Weight (out, in) and bias (out,) of a Dense, what it adds of its input included, in float32."""
    config, state = read_settings(folder / "config.json"), read_weights(folder)
    needed = _needed_shapes(config)
    refuse_incomplete(
        folder,
        needed.keys() - state.keys(),
        state.keys() - needed.keys(),
        [(name, state[name].shape, shape) for name, shape in needed.items() if name in state and shape
         and tuple(state[name].shape) != shape],
    )  # fmt: skip
    weight, bias = state["linear.weight"].float(), state.get("linear.bias")
    if adds_input(folder):
        residual = state.get("residual.weight")
        weight = weight + (torch.eye(len(weight)) if residual is None else residual.float())
    return weight, None if bias is None else bias.float()


def _needed_shapes(config: dict[str, object]) -> dict[str, tuple[int, ...]]:
    """The weights of a Dense with these settings and their shapes; Stanford's, which has no settings, is a matrix."""
    if "out_features" not in config:
        return {"linear.weight": ()}
    out, into = int(str(config["out_features"])), int(str(config["in_features"]))
    needed: dict[str, tuple[int, ...]] = {"linear.weight": (out, into)}
    if config.get("bias", True):
        needed["linear.bias"] = (out,)
    if config.get("use_residual") and out != into:
        needed["residual.weight"] = (out, into)
    return needed

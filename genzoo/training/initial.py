"""A new run that begins with the weights of another."""

from __future__ import annotations

import warnings

from genzoo.interface.errors import GenzooWarning, UsageError, some_of
from genzoo.interface.generator import Generator
from genzoo.interface.specs import Json
from genzoo.runs import checkpoint
from genzoo.runs.folder import RunFolder

NAMED = 3  # tensors that do not fit


def begin_with(model: Generator, parent: RunFolder) -> Json:
    """Give a model the weights that a run samples with, and where only training needs them (a discriminator) those of
    its newest checkpoint. What is of another size stays as it is, and is warned of. Raises `UsageError` if nothing
    fits.

    Returns what the new run keeps of its parent: its name, and the `step` and `sha256` of the weights.
    """
    weights = checkpoint.load_model(parent)[1]
    if model.training_only and parent.checkpoints():
        apart = tuple(f"{name}." for name in model.training_only)
        every = checkpoint.load_newest(parent)[1]["model"]
        weights |= {name: tensor for name, tensor in every.items() if name.startswith(apart)}
    mine = model.state_dict()
    fitting = {k: v for k, v in weights.items() if k in mine and v.shape == mine[k].shape}
    others = [name for name in mine if name not in fitting]
    if not fitting:
        raise UsageError(f"no weight of run {parent.name!r} fits this {model.spec.name}; are its sizes the same?")
    model.load_state_dict(fitting, strict=False)
    if others:
        warnings.warn(
            f"{len(fitting)} of {len(mine)} tensors are those of run {parent.name!r}; of another size, and so begun"
            f" anew: {some_of(others, NAMED)}",
            GenzooWarning,
            stacklevel=4,
        )
    return {"run": parent.name, **parent.weights()}

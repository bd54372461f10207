"""The state from which training goes on bit for bit: weights, Adam's moments and the step.

Nothing else is needed: the images and z of step t depend on (seed, t) alone, so there are no random
states to keep. One safetensors file holds it all, replaced atomically.
"""

from pathlib import Path

import torch
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.models.weights import fill, load_tensors, read_about, save_tensors
from gan_eval.training.step import Trainer, learned

_MOMENTS = ("exp_avg", "exp_avg_sq")


def save_state(trainer: Trainer, path: Path, step: int) -> None:
    """Write the state after `step` steps."""
    tensors = {
        f"{name}/{key}": tensor
        for name, network in trainer.networks.items()
        for key, tensor in network.state_dict().items()
    }
    for name, optimizer in trainer.optimizers.items():
        for index, parameter in enumerate(learned(optimizer)):
            for key, tensor in optimizer.state[parameter].items():
                tensors[f"{name}/{index}.{key}"] = tensor
    save_tensors(path, tensors, {"step": step, "tensors": len(tensors)})


def load_state(trainer: Trainer, path: Path) -> int:
    """Fill networks and optimisers from `path` and return the step.

    Raises:
        InputError: the file is damaged or another network's.
    """
    tensors, about = load_tensors(path)
    step = _step(about, path)
    if step > trainer.config.steps:
        raise InputError(
            f"state file {path} must be of {trainer.config.steps} steps at most, as the run is. "
            f"Got {step}; restore it."
        )
    wanted = about.get("tensors", len(tensors))  # which files of earlier versions do not say
    if len(tensors) != wanted:
        raise InputError(
            f"state file {path} must hold {wanted} tensors. Got {len(tensors)}; restore it."
        )
    for name, network in trainer.networks.items():
        fill(network, _under(tensors, f"{name}/"), path)
    for name, optimizer in trainer.optimizers.items():
        _fill_adam(optimizer, _under(tensors, f"{name}/"), path)
    return step


def is_finite(trainer: Trainer) -> bool:
    """Return whether every parameter is a number."""
    return all(
        bool(torch.isfinite(parameter).all())
        for network in trainer.networks.values()
        for parameter in network.parameters()
    )


def saved_step(path: Path) -> int:
    """Return how many steps were done when the state file was written."""
    return _step(read_about(path), path)


def _step(about: dict[str, object], path: Path) -> int:
    step = about.get("step")
    if type(step) is not int or step < 0:
        raise InputError(f"state file {path} must say its step. Got {step!r}; restore it.")
    return step


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _fill_adam(optimizer: torch.optim.Adam, tensors: dict[str, Tensor], path: Path) -> None:
    for index, parameter in enumerate(learned(optimizer)):
        saved = _under(tensors, f"{index}.")
        if not saved:
            continue  # no step of this optimiser had been taken
        shapes = {name: tensor.shape for name, tensor in saved.items()}
        if shapes != {"step": torch.Size(), **dict.fromkeys(_MOMENTS, parameter.shape)}:
            raise InputError(
                f"state file {path} must hold a step and Adam moments of shape "
                f"{tuple(parameter.shape)}. Got others; use the run's own file."
            )
        state = {key: torch.zeros_like(parameter).copy_(saved[key]) for key in _MOMENTS}
        optimizer.state[parameter] = {"step": saved["step"].to(parameter.device), **state}

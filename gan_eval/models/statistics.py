"""Batch-norm statistics as the DCGAN authors' script re-estimates them after training.

Newmu/dcgan_code, svhn/svhn_semisup_analysis.py, `infer_bnorm_stats`: the plain mean, over batches,
of each batch's mean and *biased* variance (divided by the number of values, not by one less). One
pass serves all layers, because each normalises by its own batch as it did while training.
PyTorch's running averages are another thing: they forget old batches and take unbiased variances.
"""

import torch
from torch import Tensor, nn

from gan_eval.errors import InputError
from gan_eval.models.dcgan import BatchNorm, Discriminator, Generator


@torch.no_grad()
def batch_statistics(
    network: Generator | Discriminator, inputs: Tensor, labels: Tensor | None = None
) -> Tensor:
    """Return the mean and biased variance of one batch at every batch norm, float64 (2, total).

    A caller averages what it gets for the batches of a set, and hands that to `set_statistics`.

    Args:
        network: left as it was: parameters, buffers and mode.
        inputs: z (n, latent_dim) of a generator, or images (n, channels, s, s) in its range.
        labels: int64 (n,), of a conditional network.

    Returns:
        On the CPU; `total` counts the units of the network's batch norms, first layer to last.

    Raises:
        InputError: a unit would see one value only, which has no variance.
    """
    found = [inputs.new_empty((2, 0), dtype=torch.float32)]

    def collect(norm: nn.Module, arguments: tuple[Tensor]) -> None:
        x = arguments[0].float()  # under autocast it comes in bf16
        if x.numel() == x.shape[1]:
            raise InputError(
                "a batch must hold at least 2 inputs for batch normalisation. Got 1; "
                "pass larger batches."
            )
        variance, mean = torch.var_mean(x, [0, *range(2, x.dim())], correction=0)
        found.append(torch.stack([mean, variance]))

    norms = _norms(network)
    before = [(norm.training, norm.track_running_stats) for norm in norms]
    hooks = [norm.register_forward_pre_hook(collect) for norm in norms]
    for norm in norms:
        # So PyTorch takes the batch's statistics and updates no running ones.
        norm.training, norm.track_running_stats = True, False
    try:
        network(inputs, labels)
    finally:
        for norm, hook, (training, tracking) in zip(norms, hooks, before, strict=True):
            hook.remove()
            norm.training, norm.track_running_stats = training, tracking
    return torch.cat(found, 1).cpu().double()


@torch.no_grad()
def set_statistics(network: Generator | Discriminator, statistics: Tensor) -> None:
    """Fill the running means and variances of all batch norms, by which evaluation normalises.

    Args:
        network: its running statistics are changed, and nothing else.
        statistics: (2, total), means and variances in the order of `batch_statistics`.

    Raises:
        InputError: the shape differs; the network is left as it was.
    """
    norms = _norms(network)
    widths = [norm.num_features for norm in norms]
    if statistics.shape != (2, sum(widths)):
        raise InputError(
            f"statistics must have shape {(2, sum(widths))}: one mean and variance for each unit "
            f"of a batch norm. Got {tuple(statistics.shape)}; use those of the same network."
        )
    parts = torch.split(statistics, widths, dim=1)
    for norm, (mean, variance) in zip(norms, parts, strict=True):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def _norms(network: nn.Module) -> list[BatchNorm]:
    return [module for module in network.modules() if isinstance(module, BatchNorm)]

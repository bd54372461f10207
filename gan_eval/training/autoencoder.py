"""The autoencoder whose code layer is a semantic hash of an image.

Radford, Metz & Chintala 2015, section 4.1.1: "a 3072-128-3072 de-noising dropout regularized RELU
autoencoder on 32x32 downsampled center-crops of training examples"; its codes, binarised by
thresholding the ReLU, are equal for near-duplicates. With x an image, a row of 3,072 values minus
their mean over images and divided by one standard deviation,

    code = max(0, A x + a),    x' = B code + b,    bit k = 1 where code_k > 0,

trained to the least mean of (x' - x)^2 with a share of x and of the codes dropped. The paper does
not say how noise, dropout and length were chosen; here they are those that told planted copies from
other images best on 20,000 images of CIFAR-10.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gan_eval.precision import full_float32
from gan_eval.seeding import derive, stream

SIZE, CHANNELS = 32, 3
BITS = 128
_WIDTH = CHANNELS * SIZE * SIZE
_NOISE, _DROPOUT = 0.2, 0.1
_STEPS, _BATCH = 1000, 256
_LEARNING_RATE = 1e-3


class Autoencoder(nn.Module):
    """uint8 images (n, 3, 32, 32) -> 3,072 values as `standardised`, by way of 128 codes."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, images: Tensor, generator: torch.Generator) -> None:
        """Take the mean and deviation of `images`; draw the weights from `generator`."""
        super().__init__()
        values = images.flatten(1).float()
        self.register_buffer("mean", values.mean(0))
        spread = torch.linalg.vector_norm(values.sub_(self.mean)) / values.numel() ** 0.5
        self.register_buffer("deviation", spread.clamp_min(1))
        # On the meta device, their own initialisation draws nothing from the global generator.
        self.encoder, self.decoder = (
            nn.Linear(*shape, device="meta").to_empty(device="cpu")
            for shape in ((_WIDTH, BITS), (BITS, _WIDTH))
        )
        for layer in (self.encoder, self.decoder):
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)

    def standardised(self, images: Tensor) -> Tensor:
        """Return uint8 `images` as rows (n, 3072) of mean 0 and overall variance 1."""
        return (images.flatten(1).float() - self.mean) / self.deviation

    def loss(self, images: Tensor, source: torch.Generator) -> Tensor:
        """Return the mean squared error of restoring `images`, with noise from `source`."""
        rows = self.standardised(images)
        codes = self.encoder(_dropped(rows, _NOISE, source)).relu()
        return functional.mse_loss(self.decoder(_dropped(codes, _DROPOUT, source)), rows)

    @torch.inference_mode()
    @full_float32()
    def hashes(self, images: Tensor) -> NDArray[np.uint8]:
        """Return the codes' bits, packed: uint8 (n, 16), the first code highest in its byte."""
        codes = self.encoder(self.standardised(images.to(self.mean.device)))
        return np.packbits((codes > 0).cpu().numpy(), axis=1)


def _dropped(values: Tensor, share: float, source: torch.Generator) -> Tensor:
    """Return `values` with a random share at 0 and the others larger by as much (dropout)."""
    kept = torch.empty_like(values).bernoulli_(1 - share, generator=source)
    return values * kept / (1 - share)


@full_float32()
def fit_autoencoder(
    images: Tensor, *, seed: int, device: str, tell: Callable[[int, int], None]
) -> Autoencoder:
    """Return the autoencoder learned from uint8 `images` (n, 3, 32, 32).

    Args:
        images: on the CPU; some ten thousand suffice.
        seed: of weights, batches and noise; noise differs between kinds of device.
        device: a resolved one.
        tell: called with the steps done and their number.
    """
    network, known = untrained_autoencoder(images, seed=seed).to(device), images.to(device)
    # Noise is drawn where it is used: on the CPU it would cost a GPU most of its time.
    source = torch.Generator(device).manual_seed(derive(seed, "autoencoder", "noise"))
    optimiser = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE, fused=True)
    for step in range(_STEPS):
        batch = torch.randint(len(known), (_BATCH,), generator=source, device=device)
        optimiser.zero_grad()
        torch.autograd.backward(network.loss(known[batch], source))
        optimiser.step()
        tell(step + 1, _STEPS)
    return network


def untrained_autoencoder(images: Tensor, *, seed: int) -> Autoencoder:
    """Return what `fit_autoencoder` starts from: its codes are random projections of `images`."""
    return Autoencoder(images, stream(seed, "autoencoder", "weights"))

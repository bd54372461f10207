"""One layer of k-means features, the baseline that the paper's Table 1 compares itself with.

Coates, Lee & Ng 2011, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", and
its companion code. A patch p of d values in [0, 255] becomes

    q = (p - mean(p)) / sqrt(var(p) + 10),    x = (q - M) P,    P = V (D + 0.1)^(-1/2) V'

with M the mean and V D V' the covariance of the q that the dictionary is learned on. With K
centroids c_k and z_k = |x - c_k|, feature k of the patch is max(0, mean(z) - z_k). Features are
summed over the four quadrants of all patch positions (stride 1) and standardised: minus the mean,
divided by sqrt(variance + 0.01). Variances are unbiased.

Quadrants are summed, not averaged, because that 0.01 was chosen for sums; without it, standardised
sums and means are the same. We differ in k-means itself: scikit-learn's mini-batches, started by
k-means++, in place of 50 full passes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import sklearn
import torch
from torch import Tensor
from torch.nn import functional

from gan_eval.data import Images
from gan_eval.devices import resolve_device
from gan_eval.errors import InputError
from gan_eval.precision import full_float32
from gan_eval.seeding import derive, stream

CONTRAST, WHITENING, SPREAD = 10.0, 0.1, 0.01
_STANDARDISED_ON = 10_000
# Values of z computed at once. On the CPU that is one CIFAR-10 image at 1,600 maps: what is larger
# falls out of the cache between the six passes over it.
_BLOCK = {"cpu": 2**20, "mps": 2**26, "cuda": 2**26}


class KMeans:
    """uint8 images (n, channels, size, size) -> (n, 4 * maps), by a dictionary of patches.

    A row is four quadrants of `maps` features: upper left, upper right, lower left, lower right.
    """

    name = "kmeans"

    def __init__(
        self,
        train: Images,
        *,
        maps: int = 1600,
        patch: int = 6,
        patches: int = 400_000,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        """Learn from `train`, when asked to `prepare`.

        Args:
            train: the images that patches are drawn from and features standardised on; labels are
                not used.
            maps: number of centroids, K.
            patch: side of a patch in pixels.
            patches: how many are drawn, with replacement; at most as many as `train` has.
            seed: of the patches, of k-means and of the images that features are standardised on.
            device: where features are computed; the dictionary is learned on the CPU.

        Raises:
            InputError: a patch is larger than an image, or there are fewer patches than maps.
        """
        if not 1 < patch <= train.size:
            raise InputError(
                f"patch must be from 2 to the side of the images, {train.size}. Got {patch}; "
                "take smaller patches or larger images."
            )
        self._places = train.size - patch + 1
        patches = min(patches, len(train) * self._places**2)
        if not 1 < maps <= patches:
            raise InputError(
                f"maps must be from 2 to the number of patches, {patches}. Got {maps}; "
                "ask for fewer maps or more patches."
            )
        self.width = 4 * maps
        self.identity: Mapping[str, Any] = {
            "extractor": "kmeans",
            "maps": maps,
            "patch": patch,
            "patches": patches,
            "seed": seed,
            "contrast": CONTRAST,
            "whitening": WHITENING,
            "pool": "sum 2x2",
            "standardised_on": min(len(train), _STANDARDISED_ON),
            "learner": f"scikit-learn {sklearn.__version__} MiniBatchKMeans",
            "train": train.contents,
        }
        self._train, self._patch, self._patches, self._maps = train, patch, patches, maps
        self._seed, self._device = seed, resolve_device(device)
        self._quadrants = _quadrants(self._places).to(self._device)

    @torch.inference_mode()
    def prepare(self) -> None:
        """Learn whitening, dictionary and standardisation: a minute or two with the defaults.

        Once: what was learned stays.
        """
        if hasattr(self, "_mean"):
            return
        drawn = torch.cat([_normalised(block) for block in self._draw()])
        centre, whiten = _whitening(drawn)
        centroids = self._learn((drawn - centre) @ whiten)
        # |x - c|^2 = (x, |x|^2, 1) . (-2 c, 1, |c|^2): one matrix product and no further pass.
        ones = torch.ones(self._maps, 1)
        lifted = torch.cat([-2 * centroids, ones, centroids.square().sum(1, keepdim=True)], 1)
        self._centre, self._whiten, self._lifted = (
            tensor.to(self._device) for tensor in (centre, whiten, lifted.T.contiguous())
        )
        self._mean, self._std = self._moments()

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        return (self._sums(images) - self._mean) / self._std

    def _draw(self) -> Iterator[Tensor]:
        """Yield random patches, (block, d) in [0, 255], of uniformly drawn images and places."""
        generator = stream(self._seed, "kmeans", "patches")
        # In order, so that a streamed set reads each part of its file once.
        rows = torch.randint(len(self._train), (self._patches,), generator=generator).sort()[0]
        corners = torch.randint(self._places, (self._patches, 2), generator=generator)
        side = torch.arange(self._patch)
        for block, corner in zip(torch.split(rows, 1024), torch.split(corners, 1024), strict=True):
            y, x = (corner[:, :, None] + side).unbind(1)
            images = self._train.take(block.tolist())
            some = torch.arange(len(block))[:, None, None]
            # An advanced index on both sides of a slice puts its own axes first.
            patches = images[some, :, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)
            yield patches.flatten(1).float()

    def _learn(self, patches: Tensor) -> Tensor:
        """Return centroids (maps, d) of whitened `patches`."""
        from sklearn.cluster import MiniBatchKMeans

        learner = MiniBatchKMeans(
            self._maps,
            batch_size=max(1024, 4 * self._maps),
            n_init=1,
            random_state=derive(self._seed, "kmeans", "centroids") % 2**32,
        )
        return torch.from_numpy(learner.fit(patches.numpy()).cluster_centers_).float()

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Return mean and sqrt(variance + 0.01) of the sums over a sample of training images."""
        generator = stream(self._seed, "kmeans", "standardise")
        rows = torch.randperm(len(self._train), generator=generator)[:_STANDARDISED_ON].sort()[0]
        total = torch.zeros(2, self.width, dtype=torch.float64)
        for block in torch.split(rows, 256):
            sums = self._sums(self._train.take(block.tolist())).cpu().double()
            total += torch.stack([sums.sum(0), sums.square().sum(0)])
        mean = total[0] / len(rows)
        variance = (total[1] - len(rows) * mean.square()) / max(1, len(rows) - 1)
        spread = (variance.clamp_min(0) + SPREAD).sqrt()
        return mean.float().to(self._device), spread.float().to(self._device)

    @full_float32()
    def _sums(self, images: Tensor) -> Tensor:
        """Return the features (n, 4 * maps), summed over quadrants."""
        many = max(1, _BLOCK[self._device] // (self._maps * self._places**2))
        return torch.cat([self._block(b.to(self._device)) for b in torch.split(images, many)])

    def _block(self, images: Tensor) -> Tensor:
        patches = functional.unfold(images.float(), self._patch).transpose(1, 2)  # (n, places^2, d)
        x = (_normalised(patches) - self._centre) @ self._whiten
        x = torch.cat([x, x.square().sum(2, keepdim=True), torch.ones_like(x[..., :1])], 2)
        z = (x @ self._lifted).clamp_min_(0).sqrt_()  # (n, places^2, maps)
        active = torch.sub(z.mean(2, keepdim=True), z, out=z).relu_()
        return (self._quadrants @ active).flatten(1)


def _normalised(patches: Tensor) -> Tensor:
    """Return `patches` (..., d) of values in [0, 255] with brightness and contrast taken out."""
    variance, mean = torch.var_mean(patches, -1, keepdim=True)
    return (patches - mean) / (variance + CONTRAST).sqrt_()


def _whitening(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (d,) of `patches` (n, d) and the symmetric (d, d) that whitens them (ZCA)."""
    values: Any = patches.double().numpy()
    eigenvalues, vectors = np.linalg.eigh(np.cov(values, rowvar=False))
    whiten = (vectors / np.sqrt(eigenvalues + WHITENING)) @ vectors.T
    return patches.mean(0), torch.from_numpy(whiten).float()


def _quadrants(places: int) -> Tensor:
    """Return (4, places^2) of zeros and ones: which quadrant a patch counts for, by its corner.

    Of an odd number the first half gets one more, as in the authors' code.
    """
    first = torch.arange(places) < (places + 1) // 2
    halves = torch.stack([first, ~first]).float()
    return torch.einsum("ay,bx->abyx", halves, halves).reshape(4, places * places)

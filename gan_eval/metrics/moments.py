"""Count, mean and covariance of features, gathered in one pass and merged across processes.

Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample
variances": with delta the difference of two parts' means, the scatter S (the sum of
(x - mean)(x - mean)') of both is

    S = S_a + S_b + delta delta' n_a n_b / (n_a + n_b).

All in float64. The covariance is S / (n - 1), as in pytorch-fid and edm; stylegan3 divides by n.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_eval.errors import InputError
from gan_eval.files import LARGEST
from gan_eval.metrics.matrix import Matrix, as_matrix, blocks, check_finite, device_of

Arrays = Mapping[str, NDArray[np.generic]]


class Moments:
    """What the Fréchet distance needs of features (n, d), in memory that does not grow with n.

    It starts empty; `a + b` is what both have seen, so that `sum(parts, Moments())` merges shards.

    Attributes:
        n: rows seen so far; None where published statistics do not say.
        mean: (d,), float64, on the device of the first features.

    Example:
        >>> moments = Moments()
        >>> moments.update(np.array([[1.0], [2.0], [6.0]]))
        >>> moments.n, moments.mean.tolist(), moments.covariance.tolist()
        (3, [3.0], [[7.0]])
    """

    def __init__(self) -> None:
        self.n: int | None = 0
        self.mean = torch.zeros(0, dtype=torch.float64)
        self._scatter = torch.zeros(0, 0, dtype=torch.float64)

    @property
    def width(self) -> int:
        """Return d, 0 before the first features."""
        return len(self.mean)

    @property
    def covariance(self) -> Tensor:
        """Return the covariance (d, d), divided by n - 1.

        Raises:
            InputError: fewer than 2 rows were seen.
        """
        if self.n is None:
            return self._scatter
        if self.n < 2:
            raise InputError(
                f"a covariance needs at least 2 images. Got {self.n}; take more images."
            )
        return self._scatter / (self.n - 1)

    def update(self, features: Matrix) -> None:
        """Take in `features` (n, d) of any float type.

        Raises:
            InputError: they are not finite or not as wide as before; the moments are then useless.
        """
        features = as_matrix(features, "features")
        self._widen(features.shape[1], device_of(features))
        for rows, block in blocks(features, self.mean.device):
            check_finite(block, "features", rows.start)
            mean = block.mean(0)
            centred = block - mean
            self._scatter.addmm_(centred.T, centred)
            self._join(len(centred), mean)

    def cpu(self) -> "Moments":
        """Return the same on the CPU."""
        moved = Moments()
        moved.n, moved.mean, moved._scatter = self.n, self.mean.cpu(), self._scatter.cpu()
        return moved

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of what both have seen."""
        total = Moments()
        for part in (self, other):
            if part.width:
                total._widen(part.width, part.mean.device)
                total._scatter += part._scatter.to(total.mean.device)
                total._join(part._known_n(), part.mean.to(total.mean.device))
        return total

    def _widen(self, width: int, device: torch.device) -> None:
        """Make room for features of `width`, or refuse them."""
        self._known_n()
        if not self.width:
            self.mean = torch.zeros(width, dtype=torch.float64, device=device)
            self._scatter = torch.zeros(width, width, dtype=torch.float64, device=device)
        if width != self.width:
            raise InputError(
                f"features must be as wide as those before: {self.width:,}. Got {width:,}; take "
                "all from one extractor."
            )

    def _join(self, n: int, mean: Tensor) -> None:
        """Take in a part's number and mean, its scatter being added already."""
        before = self._known_n()
        shift = mean - self.mean
        self._scatter.addr_(shift, shift, alpha=before * n / (before + n))
        self.mean = self.mean + shift * (n / (before + n))  # others may hold the old one
        self.n = before + n

    def _known_n(self) -> int:
        """Return n.

        Raises:
            InputError: nobody said of how many images these statistics are.
        """
        if self.n is None:
            raise InputError(
                "statistics must hold 'n' to be merged. Got 'mu' and 'sigma' alone; start from the "
                "features."
            )
        return self.n

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return "mu" (d,) and "sigma" (d, d), the names of pytorch-fid's .npz, and "n" if known.

        Raises:
            InputError: fewer than 2 rows were seen.
        """
        arrays = {"mu": self.mean.cpu().numpy(), "sigma": self.covariance.cpu().numpy()}
        return arrays if self.n is None else {**arrays, "n": np.array(self.n)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Moments":
        """Return the moments that `to_arrays` or another program's statistics hold.

        Raises:
            InputError: "mu" and "sigma" are missing or are no mean and covariance.
        """
        mean, covariance = _read(arrays)
        moments = cls()
        moments.n = _count(np.asarray(arrays["n"])) if "n" in arrays else None
        moments.mean = torch.from_numpy(mean)
        # Where n is not known, the covariance itself stands in for the scatter.
        moments._scatter = torch.from_numpy(covariance * ((moments.n or 2) - 1))
        return moments


def _count(n: NDArray[np.generic]) -> int:
    value = n.item() if n.size == 1 else None
    if not isinstance(value, int | float) or not 2 <= value < 2**63 or value != int(value):
        raise InputError(
            f"statistics must be of at least 2 images, a whole number. Got n = {str(n)[:80]}."
        )
    return int(value)


def _read(arrays: Arrays) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return copies of mean and covariance, after a look at them."""
    missing = [name for name in ("mu", "sigma") if name not in arrays]
    if missing:
        raise InputError(
            f"statistics must hold the arrays 'mu' and 'sigma'. Got {', '.join(arrays) or 'none'}."
        )
    kinds = {np.asarray(arrays[name]).dtype.kind for name in ("mu", "sigma")}
    if not kinds <= set("fiu"):
        raise InputError("'mu' and 'sigma' must be real numbers. Got others; make them again.")
    mean, covariance = (np.array(arrays[name], dtype=np.float64) for name in ("mu", "sigma"))
    if mean.ndim != 1 or covariance.shape != 2 * mean.shape:
        raise InputError(
            "statistics must be 'mu' (d,) and 'sigma' (d, d). Got shapes "
            f"{mean.shape} and {covariance.shape}."
        )
    if not all((np.abs(values) < LARGEST).all() for values in (mean, covariance)):
        raise InputError(f"statistics must be finite, and below {LARGEST:g}. Got others.")
    apart = np.abs(covariance - covariance.T).max(initial=0)
    if apart > 1e-5 * np.abs(covariance).max(initial=0):
        raise InputError(f"'sigma' must be symmetric. Got entries that differ by {apart:.2g}.")
    return mean, covariance

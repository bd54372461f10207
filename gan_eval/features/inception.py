"""The Inception network of the Fréchet inception distance, from a local file of its weights.

Heusel et al. 2017, arXiv:1706.08500; the network is TensorFlow's of 2015-12-05 as pytorch-fid ports
it (mseitzer/pytorch-fid). Two ways to reach its 299 x 299 pixels:

* "pytorch-fid": values in [0, 1], bilinear and not antialiased, then 2 v - 1, as pytorch-fid does;
* "clean": bicubic and antialiased without rounding, as Pillow resizes float images, then
  (v - 128) / 128 of values in [0, 255], as clean-fid's mode of that name (Parmar et al. 2022,
  arXiv:2104.11222), whose weights are the same network's in another file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import torch
from pytorch_fid import inception  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional

from gan_eval.devices import resolve_device
from gan_eval.errors import InputError, one_line
from gan_eval.features.inception_network import faster
from gan_eval.files import StrPath, expanded, file_sha256
from gan_eval.images import to_channels
from gan_eval.models.weights import read_state
from gan_eval.precision import Precision, full_float32, products

URL: str = inception.FID_WEIGHTS_URL
OFFICIAL_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SIDE = 299
_AT_ONCE = 50  # images; a CPU is as fast with 25

Dims = Literal[64, 192, 768, 2048]
Resize = Literal["pytorch-fid", "clean"]


class Inception:
    """uint8 images (n, channels, size, size) of any kind -> (n, dims) of Inception's features.

    Grey images become coloured by repetition. The maps of the lower layers are averaged over
    positions, as pytorch-fid does.

    Attributes:
        name: "inception", or with other than 2,048 dims "inception-768" and so on.
    """

    def __init__(
        self,
        weights: StrPath | None = None,
        *,
        dims: Dims = 2048,
        resize: Resize = "pytorch-fid",
        device: str = "cpu",
        precision: Precision = "32",
    ) -> None:
        """Load `weights`, by default the official file in torch hub's folder.

        Args:
            weights: any file of pytorch-fid's network, official or not.
            dims: which layer: 64, 192, 768 or 2048 features.
            resize: one of the module's two.
            device: "auto", "cuda", "mps" or "cpu".
            precision: "bf16" holds weights and maps in it; resizing and the mean over positions are
                in float32.

        Raises:
            InputError: there is no such file, or it is not of this network.
        """
        path = expanded(weights) if weights else _default_path()
        if not path.is_file():
            raise InputError(
                f"inception weights must be a local file; nothing is downloaded. Got none at "
                f"{path}; put {URL} there (SHA-256 {OFFICIAL_SHA256}) or give the path of a copy."
            )
        self.width, self._resize = int(dims), resize
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.name = "inception" if dims == 2048 else f"inception-{dims}"
        self._device = resolve_device(device)
        state = dict(read_state(path))
        network = _network(state, dims, path).to(self._device, self._dtype)
        self._network = network.to(memory_format=torch.channels_last)
        self._classes = state["fc.weight"].to(self._device)
        self.identity = inception_identity(file_sha256(path), dims, resize, precision)

    def prepare(self) -> None:
        """Do nothing: the network has learned already."""

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        return torch.cat([self._rows(some) for some in torch.split(images, _AT_ONCE)])

    def _rows(self, images: Tensor) -> Tensor:
        values = self._resized(to_channels(images, 3).to(self._device).float())
        with products(self._device):
            maps = self._network(values.to(self._dtype, memory_format=torch.channels_last))
        return functional.adaptive_avg_pool2d(maps.float(), 1).flatten(1)

    @torch.inference_mode()
    @full_float32()
    def logits(self, features: Tensor) -> Tensor:
        """Return the 1,008 class scores of 2,048-wide `features`, (n, 2048) -> (n, 1008).

        Without the bias, as the Inception score of Salimans et al. 2016 takes them: the network's
        last layer is a product with these features, so that kept features need no second pass.
        """
        return features.to(self._device) @ self._classes.T

    def _resized(self, values: Tensor) -> Tensor:
        """Return what the first layer is fed, (n, 3, 299, 299), for `values` in [0, 255]."""
        if self._resize == "pytorch-fid":
            # Scaled before, as interpolation is linear and there are fewer pixels.
            return functional.interpolate(values / 127.5 - 1, (SIDE, SIDE), mode="bilinear")
        full = functional.interpolate(values, (SIDE, SIDE), mode="bicubic", antialias=True)
        return (full.clamp_(0, 255) - 128) / 128


def inception_identity(
    weights_sha256: str | None, dims: Dims, resize: Resize, precision: Precision
) -> Mapping[str, Any]:
    """Return what determines a row, as `Extractor` has it; None is a hash that is not known."""
    return {
        "extractor": "inception",
        "weights_sha256": weights_sha256,
        "official": None if weights_sha256 is None else weights_sha256 == OFFICIAL_SHA256,
        "dims": int(dims),
        "resize": resize,
        **({"resize_overshoot": "clipped"} if resize == "clean" else {}),
        "grey": "repeated to three channels",
        "precision": precision,
    }


def official_weights() -> Path | None:
    """Return where the official file is on this machine; None where it is not."""
    path = _default_path()
    return path if path.is_file() else None


def _default_path() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / URL.rpartition("/")[2]


def _network(state: dict[str, Tensor], dims: Dims, path: Path) -> nn.Module:
    block = inception.InceptionV3.BLOCK_INDEX_BY_DIM[dims]
    # The constructor downloads: hand it the file instead. It draws weights before it gets them.
    instead = patch.object(inception, "load_state_dict_from_url", lambda *_, **__: state)
    undrawn = [patch.object(kind, "reset_parameters") for kind in (nn.Conv2d, nn.Linear)]
    try:
        with instead, undrawn[0], undrawn[1]:
            network = inception.InceptionV3([block], resize_input=False, normalize_input=False)
    except RuntimeError as error:
        raise InputError(
            f"inception weights {path} must be of pytorch-fid's network. "
            f"{one_line(error)}; take {URL}."
        ) from error
    return faster(network.eval().blocks)

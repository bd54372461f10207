"""The paper's features: what the discriminator's convolutions answer to an image.

Radford, Metz & Chintala 2015, section 5.1: the maps of every convolution, after batch norm and
leaky ReLU, max-pooled to 4 x 4, flattened channel-major and concatenated. The layer that gives the
logit is left out. Maps whose side is no multiple of 4 are pooled adaptively.

By which mean and variance batch norm normalises is a choice, and rows differ by it:

* "dataset": those of the images that are classified, as the authors' script re-estimates them: the
  plain mean, over batches of 128, of each batch's mean and biased variance. A last batch of a
  single image is left out.
* "running": the averages that training kept.
* "batch": those of the batch itself, as while training.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any, Literal

import torch
from torch import Tensor

from gan_eval.data import Images
from gan_eval.devices import as_one, gather, processes, resolve_device
from gan_eval.errors import InputError
from gan_eval.features.extractor import max_pooled
from gan_eval.images import Scale, to_float
from gan_eval.models.config import DiscriminatorConfig
from gan_eval.models.dcgan import BatchNorm, Discriminator, initialise
from gan_eval.models.statistics import batch_statistics, set_statistics
from gan_eval.models.weights import weights_sha256
from gan_eval.precision import Precision, products
from gan_eval.seeding import stream

BatchNormBy = Literal["dataset", "running", "batch"]
_BATCH = 128


class DiscriminatorFeatures:
    """uint8 images (n, channels, size, size) -> (n, width) of a discriminator's maps.

    A row is layer after layer, in each map after map, in each `pool` x `pool` values.
    """

    def __init__(
        self,
        network: Discriminator,
        scale: Scale,
        *,
        name: str = "disc",
        layers: Sequence[int] | None = None,
        pool: int = 4,
        batch_norm: BatchNormBy = "dataset",
        train: Images | None = None,
        device: str = "cpu",
        precision: Precision = "32",
    ) -> None:
        """Copy `network`, which stays as it is.

        Args:
            network: unconditional.
            scale: range of the images that it was trained on, its generator's `config.scale`.
            name: what tables call it; "random-disc" for one that was not trained.
            layers: which of its convolutions, 1 being the one that sees the image; the logit's has
                no number. Always taken in the network's order. By default all.
            pool: side of the grid that maps are pooled to.
            batch_norm: one of the module's three.
            train: the images that "dataset" takes statistics of, without mirroring; the others
                ignore them. Those that lie by class are mixed.
            device: "auto", "cuda", "mps" or "cpu".
            precision: "bf16" computes under `torch.autocast`.

        Raises:
            InputError: the network is conditional, a layer is unknown or has maps smaller than
                `pool`, or `train` is missing or not of the network's size and channels.
        """
        self._config, self._scale = network.config, scale
        self._layers = _chosen(network.config, layers, pool)
        self._pool, self._precision = pool, precision
        self._device = resolve_device(device)
        self._network = copy.deepcopy(network).to(self._device).eval()
        self._train = self._of_dataset(train) if batch_norm == "dataset" else None
        for norm in self._network.modules() if batch_norm == "batch" else ():
            if isinstance(norm, BatchNorm):
                norm.training, norm.track_running_stats = True, False
        self.name = name
        self.width = sum(network.config.layers[i].width for i in self._layers.values()) * pool**2
        self.identity: Mapping[str, Any] = {
            "extractor": "disc",
            "weights_sha256": weights_sha256(network),
            "network": asdict(network.config),
            "scale": scale,
            "layers": list(self._layers),
            "pool": f"max {pool}x{pool}",
            "batch_norm": batch_norm,
            **({"statistics_of": self._train.contents} if self._train else {}),
            **({"statistics_order": "mixed"} if self._train and self._train.lie_by_class else {}),
            **({"depends_on_batch": True} if batch_norm == "batch" else {}),
            "mirror": False,
            "precision": precision,
        }

    @torch.inference_mode()
    def prepare(self) -> None:
        """Take the statistics of `train`, once; of several processes each takes those of its share.

        The same statistics for any number of processes, to the last bit.
        """
        if self._train is None:
            return
        rank, world = processes()
        order = torch.arange(len(self._train))
        if self._train.lie_by_class:  # or a batch of one class would vary less than the set
            order = torch.randperm(len(order), generator=stream(0, "statistics", "order"))
        batches = [rows for rows in torch.split(order, _BATCH) if len(rows) > 1]
        with as_one():
            mine = [self._statistics(self._train, rows) for rows in batches[rank::world]]
        found = [torch.empty(0)] * len(batches)
        for other, part in enumerate(gather(mine)):
            found[other::world] = part
        set_statistics(self._network, torch.stack(found).mean(0))
        self._train = None

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        self._check(tuple(images.shape[1:]))
        if self._train is not None:
            raise InputError("prepare() must be called before the first row. It was not; call it.")
        taken = set(self._layers.values())
        maps = islice(self._network.activations(self._floats(images)), max(taken) + 1)
        with products(self._device, self._precision):
            pooled = [max_pooled(x, self._pool) for i, x in enumerate(maps) if i in taken]
        return torch.cat([x.flatten(1) for x in pooled], 1).float()

    def _statistics(self, train: Images, rows: Tensor) -> Tensor:
        images = self._floats(train.take(rows.tolist()))
        with products(self._device, self._precision):
            return batch_statistics(self._network, images)

    def _floats(self, images: Tensor) -> Tensor:
        values = to_float(images.to(self._device), self._scale)
        return values.contiguous(memory_format=torch.channels_last)

    def _of_dataset(self, train: Images | None) -> Images:
        if train is None:
            raise InputError(
                "train must be given with batch_norm 'dataset', which takes its statistics. "
                "Got none; pass the training images, or choose 'running'."
            )
        self._check((train.channels, train.size, train.size))
        if len(train) < 2:
            raise InputError(
                f"train must hold at least 2 images, for a variance. Got {len(train)}; pass more."
            )
        return train

    def _check(self, shape: tuple[int, ...]) -> None:
        channels, size = self._config.channels, self._config.image_size
        if shape != (channels, size, size):
            raise InputError(
                f"images must be {channels}x{size}x{size}, as the discriminator takes them. "
                f"Got {'x'.join(map(str, shape))}; open them with size={size}, channels={channels}."
            )


def random_discriminator(config: DiscriminatorConfig, seed: int) -> Discriminator:
    """Return the discriminator that a run of `seed` starts from: a control, as yet untrained."""
    network = Discriminator(config)
    initialise(network, stream(seed, "init", "discriminator"))
    return network.eval()


def _chosen(config: DiscriminatorConfig, layers: Sequence[int] | None, pool: int) -> dict[int, int]:
    """Return the numbers of the chosen convolutions, from 1, and their places in `config`."""
    if config.classes:
        raise InputError(
            f"conditional networks give no features: theirs depend on a label. Got one of "
            f"{config.classes} classes; take an unconditional one."
        )
    known = dict(enumerate(config.feature_layers, 1))
    asked = sorted(known if layers is None else set(layers))
    unknown = [number for number in asked if number not in known]
    if unknown or not asked:
        raise InputError(
            f"layers must be some of the convolutions 1 to {len(known)}. "
            f"Got {unknown[0] if unknown else 'none'}; leave layers out to take all."
        )
    for number in asked:
        side = config.sizes()[known[number]]
        if not 1 <= pool <= side:
            raise InputError(
                f"pool must be from 1 to the side of the maps of layer {number}, {side}. "
                f"Got {pool}; leave the layer out, or pool to less."
            )
    return {number: known[number] for number in asked}

"""What Radford, Metz & Chintala 2015 (arXiv:1511.06434) published, exhibit by exhibit.

Rates are fractions. A number that holds for other images, another training set or another protocol
is no number of the paper's: `Condition`s say for what each one does. "remembered" marks values that
were quoted from memory of the paper and of what cites it; the page prints them with a †.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What must be so for a published number to hold: `wanted` at `path` of the record."""

    what: str
    path: str
    wanted: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Published:
    """A number of the paper, and which number of a record is to be compared with it.

    Attributes:
        value, spread: in the paper; the spread is what it prints behind ±.
        ours: path of the number in a record, None for numbers that only stand beside.
        at: the number of samples, where the path leads to a curve.
        complement: whether ours is 1 minus what the path leads to.
        tolerance: how far a number may fall short and still be as good.
        name, protocol: which records are meant.
    """

    exhibit: str
    what: str
    value: float
    spread: float = 0.0
    remembered: bool = False
    smaller_is_better: bool = True
    fraction: bool = True
    tolerance: float = 0.005
    ours: str | None = None
    at: int | None = None
    complement: bool = False
    name: str | None = None
    protocol: str | None = None
    holds_for: tuple[Condition, ...] = ()


# D's features as the paper takes them.
_FEATURES = tuple(
    Condition(what=what, path=f"config.features.{name}", wanted=(wanted,))
    for what, name, wanted in (
        ("pooling", "pool", "max 4x4"),
        ("batch norm", "batch_norm", "dataset"),
        ("mirror images", "mirror", False),
        ("shifts", "shifts", None),
    )
)
_CIFAR10 = (
    Condition(what="classified images", path="config.data.name", wanted=("cifar10",)),
    Condition(what="test images", path="result.n_test", wanted=(10_000,)),
)
_IMAGENET = (
    Condition(what="D's training set", path="config.trained.trained_on", wanted=("imagenet", None)),
    Condition(what="its images", path="config.trained.images", wanted=(1_281_167, None)),
    Condition(what="D", path="config.trained.preset", wanted=("radford2015-imagenet32",)),
    Condition(what="features", path="result.feature_width", wanted=(28_672,)),
    *_FEATURES,
)
_SVHN = (
    Condition(what="classified images", path="config.data.name", wanted=("svhn",)),
    Condition(what="test images", path="result.n_test", wanted=(26_032,)),
    # Imported weights do not say what they were trained on.
    Condition(what="D's training set", path="config.trained.trained_on", wanted=("svhn", None)),
    Condition(what="its part", path="config.trained.trained_split", wanted=("train", None)),
    Condition(what="its images", path="config.trained.images", wanted=(73_257, None)),
    Condition(what="D", path="config.trained.preset", wanted=("radford2015-svhn",)),
    Condition(what="features", path="result.feature_width", wanted=(7168,)),
    *_FEATURES,
)
_MNIST = (
    Condition(what="images", path="config.data.name", wanted=("mnist",)),
    Condition(what="test images", path="config.data.n_test", wanted=(10_000,)),
)
DIGITS = (Condition(what="real digits", path="controls.real.samples", wanted=(50_000,)),)
_G = (
    Condition(what="G", path="config.trained.preset", wanted=("radford2015-mnist",)),
    Condition(what="its training set", path="config.trained.trained_on", wanted=("mnist",)),
    Condition(what="its part", path="config.trained.trained_split", wanted=("train",)),
    # 10,000 were split off for validation.
    Condition(what="its images", path="config.trained.images", wanted=(50_000, None)),
)
# The paper's rule is equal hashes, and its rate is of what they call duplicates.
_BEDROOMS = (
    Condition(what="images", path="config.data.name", wanted=("lsun-bedroom",)),
    Condition(what="radius", path="result.radius", wanted=(0,)),
)
_ALL, _FEW = ("paper-cifar10", "all labels"), ("paper-cifar10-400", "400 labels per class")


def _table_1(what: str, value: float, labels: tuple[str, str], **more: Any) -> Published:
    protocol, words = labels
    return Published(
        exhibit="table_1_cifar10",
        what=f"{what}, {words}: accuracy",
        value=value,
        smaller_is_better=False,
        protocol=protocol,
        complement=True,
        **more,
    )


def _other(exhibit: str, what: str, value: float, **more: Any) -> Published:
    return Published(exhibit=exhibit, what=what, value=value, **more)


_ERROR = "result.error_mean"
_DISC: dict[str, Any] = {"ours": _ERROR, "name": "disc", "holds_for": (*_CIFAR10, *_IMAGENET)}
_MAPS: dict[str, Any] = {
    "ours": _ERROR,
    "name": "kmeans",
    "holds_for": (
        *_CIFAR10,
        Condition(what="maps", path="config.features.maps", wanted=(4800,)),
        Condition(what="mirror images", path="config.features.mirror", wanted=(False, None)),
        Condition(what="shifts", path="config.features.shifts", wanted=(None,)),
    ),
    "remembered": True,
}

PUBLISHED = (
    _table_1("DCGAN + L2-SVM", 0.828, _ALL, **_DISC),
    _table_1("DCGAN + L2-SVM", 0.738, _FEW, spread=0.004, remembered=True, **_DISC),
    _table_1("1-layer k-means", 0.806, _ALL, **_MAPS),
    _table_1("1-layer k-means", 0.637, _FEW, spread=0.007, **_MAPS),
    _table_1("3-layer k-means, learned receptive fields", 0.820, _ALL, remembered=True),
    _table_1(
        "3-layer k-means, learned receptive fields", 0.707, _FEW, spread=0.007, remembered=True
    ),
    _table_1("view-invariant k-means", 0.819, _ALL, remembered=True),
    _table_1("view-invariant k-means", 0.726, _FEW, spread=0.007, remembered=True),
    _table_1("exemplar CNN", 0.843, _ALL, remembered=True),
    _table_1("exemplar CNN", 0.774, _FEW, spread=0.002, remembered=True),
    Published(
        exhibit="table_2_svhn",
        what="DCGAN + L2-SVM, 100 labels per class: error",
        value=0.2248,
        ours=_ERROR,
        name="disc",
        protocol="authors-svhn",
        holds_for=_SVHN,
    ),
    _other("table_2_svhn", "supervised CNN of the same architecture: validation error", 0.2887),
    *(
        _other("table_2_svhn", f"{name}: error", value, remembered=True)
        for name, value in (
            ("KNN", 0.7793),
            ("TSVM", 0.6655),
            ("M1+KNN", 0.6563),
            ("M1+TSVM", 0.5433),
            ("M1+M2", 0.3602),
            ("SWWAE without dropout", 0.2783),
            ("SWWAE with dropout", 0.2356),
        )
    ),
    *(
        Published(
            exhibit="table_3_mnist",
            what=f"{what}: error",
            value=value,
            remembered=True,
            tolerance=0.001,
            ours=path,
            at=at,
            holds_for=(*_MNIST, *more),
        )
        for what, value, path, at, more in (
            ("DCGAN, 50,000 samples", 0.0298, "result.curve", 50_000, _G),
            ("DCGAN, 10,000,000 samples", 0.0148, "result.curve", 10_000_000, _G),
            ("real digits, 50,000", 0.031, "controls.real.error", None, DIGITS),
        )
    ),
    _other("table_3_mnist", "AlignMNIST, 10,000,000: error", 0.014, remembered=True),
    _other("table_3_mnist", "InfiMNIST, 10,000,000: error", 0.026, remembered=True),
    _other("table_3_mnist", "GAN, 50,000 samples: error", 0.0628, remembered=True),
    _other("table_3_mnist", "GAN, 10,000,000 samples: error", 0.0565, remembered=True),
    Published(
        exhibit="section_4_1_1_dedup",
        what="false positives among duplicates, fewer than 1 in 100",
        value=0.01,
        tolerance=0.0,
        ours="result.false_of_called",
        holds_for=_BEDROOMS,
    ),
    _other("section_4_1_1_dedup", "removed of 3M bedrooms, about 275,000", 0.0917),
    _other("figure_6_forget", "window area removed by 20 units of bedrooms (gandissect)", 0.277),
    *(
        _other("fid_table", f"CIFAR-10, {what}: FID", value, fraction=False, remembered=remembered)
        for what, value, remembered in (
            ("DCGAN of 5x5 kernels, 100k batches of 128", 42.7, False),
            ("DCGAN of Heusel et al. 2017", 37.7, True),
        )
    ),
)

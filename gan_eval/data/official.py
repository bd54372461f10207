"""The official layouts of the data sets that have a name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gan_eval.data import idx, lsun, vision
from gan_eval.data.source import Source


@dataclass(frozen=True)
class Entry:
    """A named set in its official layout.

    Attributes:
        files: the layout's files, for the sentence that says what to put where.
        folder: where they are under the root.
        source: the layout's name.
        splits: the splits that are there under a root, with their number of images where that is
            cheap to know; empty when the set is not there.
        read: reads one split from a root.
    """

    files: str
    folder: str
    source: str
    splits: Callable[[Path], Mapping[str, int | None]]
    read: Callable[[Path, str], Source]


def _idx(name: str) -> Entry:
    folder = f"{idx.FOLDERS[name]}/raw"
    return Entry(
        f"{folder}/{{train,t10k}}-{{images-idx3,labels-idx1}}-ubyte[.gz]",
        folder,
        f"{folder} (official)",
        partial(idx.idx_splits, name),
        partial(idx.read_idx, name),
    )


def _lsun(category: str) -> Entry:
    return Entry(
        f"{category}_{{train,val}}_lmdb/data.mdb",
        "",
        f"{category}_<split>_lmdb (official)",
        partial(lsun.lsun_splits, category),
        partial(lsun.read_lsun, category),
    )


OFFICIAL = {
    "mnist": _idx("mnist"),
    "fashion-mnist": _idx("fashion-mnist"),
    "cifar10": Entry(
        "cifar-10-batches-py/{data_batch_1..5,test_batch,batches.meta}",
        "cifar-10-batches-py",
        "cifar-10-batches-py (official)",
        vision.cifar10_splits,
        vision.read_cifar10,
    ),
    "svhn": Entry(
        "{train,test,extra}_32x32.mat",
        "",
        "<split>_32x32.mat (official)",
        vision.svhn_splits,
        vision.read_svhn,
    ),
    "stl10": Entry(
        "stl10_binary/{train_X,train_y,test_X,test_y,unlabeled_X}.bin",
        "stl10_binary",
        "stl10_binary (official)",
        vision.stl10_splits,
        vision.read_stl10,
    ),
    "celeba": Entry(
        "celeba/{img_align_celeba/*.jpg,list_attr_celeba.txt,list_eval_partition.txt}",
        "celeba",
        "celeba/img_align_celeba (official)",
        vision.celeba_splits,
        vision.read_celeba,
    ),
    **{f"lsun-{category.replace('_', '-')}": _lsun(category) for category in lsun.CATEGORIES},
    "imagenet": Entry(
        "{train,val}/<wnid>/*.JPEG (also under imagenet/)",
        "",
        "<split>/<wnid> (official)",
        lambda root: dict.fromkeys(vision.imagenet_splits(root)),
        vision.read_imagenet,
    ),
}

"""Mean and covariance of features in a file: pytorch-fid's .npz, and what it leaves unsaid.

mu      (d,), the mean
sigma   (d, d), the covariance, divided by n - 1
n       of how many images; here only
about   JSON text: the extractor's identity, the images' name, fingerprint, size, channels and fit;
        here only

pytorch-fid reads the first two; its own files, and others of that form, hold nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from gan_eval.data.arrays import DAMAGED, read_members
from gan_eval.errors import InputError, one_line
from gan_eval.features.extractor import Extractor
from gan_eval.files import check_folder, file_sha256, write_whole
from gan_eval.metrics import Moments
from gan_eval.records import as_json


@dataclass(frozen=True, kw_only=True, eq=False)
class Statistics:
    """Moments of some images' features, and what is known of both.

    Attributes:
        name: of the images, or of the file where that is all that is known.
        fingerprint: of the images, or "file-sha256:" of the file.
        extractor: the identity of the extractor; None where the file does not say.
        form: size, channels and fit of the images; {} where the file does not say.
        file: that they were read from.
    """

    name: str
    fingerprint: str
    moments: Moments
    extractor: Mapping[str, Any] | None
    form: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None

    def check(self, extractor: Extractor, form: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Refuse statistics that are not of `extractor` and of images in `form`, where they say so.

        Args:
            form: size, channels and fit in which a run and its reference are compared; {} where
                each side keeps its own.

        Raises:
            InputError: their width, their extractor's identity or their images' form differs.
        """
        for key in ("size", "channels", "fit"):
            # Images that nothing was done to have no fit, and are the same by any.
            if key in form and self.form.get(key) not in (None, form[key]):
                raise InputError(
                    f"statistics {self.file or self.name} must be of images as the run makes them, "
                    f"of {key} {form[key]}. Theirs had {self.form[key]}; make them again with the "
                    "run named: `gan-eval score RUN --against IMAGES --save-statistics FILE`."
                )
        if self.moments.width != extractor.width:
            raise InputError(
                f"statistics {self.file or self.name} must be of {extractor.width:,} features, as "
                f"{extractor.name!r} makes. Got {self.moments.width:,}; name their extractor."
            )
        if self.extractor is None:
            return
        wanted = as_json(dict(extractor.identity))
        for key in sorted({*wanted, *self.extractor}):
            if wanted.get(key) != self.extractor.get(key):
                raise InputError(
                    f"statistics {self.file or self.name} must be of the same extractor. Their "
                    f"{key} is {self.extractor.get(key)!r} instead of {wanted.get(key)!r}; pass "
                    "what they were made with, or make them again."
                )


def save_statistics(path: Path, statistics: Statistics) -> None:
    """Write `statistics` as an .npz, whole or not at all.

    Raises:
        InputError: the file's name does not end in .npz, or fewer than 2 images were seen.
    """
    check_target(path)
    about = {
        "images": statistics.name,
        "fingerprint": statistics.fingerprint,
        "extractor": statistics.extractor and as_json(dict(statistics.extractor)),
        "form": dict(statistics.form),
    }
    arrays: dict[str, Any] = statistics.moments.to_arrays()
    arrays["about"] = np.array(json.dumps(about))
    write_whole(path, lambda temporary: np.savez(temporary, **arrays))


def check_target(path: Path) -> None:
    """Refuse a name that pytorch-fid would not take for statistics, and a file of other things."""
    if path.suffix != ".npz":
        raise InputError(f"a file of statistics must end in .npz. Got {path}.")
    if path.exists() and not {"mu", "sigma"} <= read_members(path).keys():
        raise InputError(
            f"a file of statistics must be new, or hold some. Got {path}, which holds other "
            "arrays; name another."
        )
    check_folder(path.parent, "--save-statistics")


def load_statistics(path: Path) -> Statistics:
    """Return the statistics in `path`, of this package or another.

    Raises:
        InputError: the file is cut short, holds no mean and covariance, or says of them what is
            none of the module's.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = dict(json.loads(str(arrays["about"]))) if "about" in arrays else {}
        moments = Moments.from_arrays(arrays)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except DAMAGED as error:
        raise InputError(
            f"{path} must be a whole .npz of statistics. It cannot be read ({one_line(error)}); "
            "make it again."
        ) from error
    return Statistics(
        name=about.get("images", path.name),
        fingerprint=about.get("fingerprint") or f"file-sha256:{file_sha256(path)}",
        moments=moments,
        extractor=_object(about, "extractor", path),
        form=_object(about, "form", path) or {},
        file=path,
    )


def _object(about: Mapping[str, Any], key: str, path: Path) -> dict[str, Any] | None:
    """Return what a file says of its extractor or form; None where it does not."""
    value = about.get(key)
    if value is None or isinstance(value, dict):
        return value
    raise InputError(
        f"{path} must say of its {key} what each setting is. Got {json.dumps(value)[:80]}; make it "
        "again."
    )

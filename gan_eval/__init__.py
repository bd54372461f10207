"""What GANs learn: the experiments of Radford, Metz & Chintala 2015, with scores and controls.

Names are loaded when they are first used, so that importing the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from gan_eval import data as data
    from gan_eval import metrics as metrics
    from gan_eval import models as models
    from gan_eval import probes as probes
    from gan_eval.data import Images as Images
    from gan_eval.data import open_images as open_images
    from gan_eval.errors import InputError as InputError
    from gan_eval.experiments.arithmetic import arithmetic as arithmetic
    from gan_eval.experiments.classify import classify as classify
    from gan_eval.experiments.dedup import dedup as dedup
    from gan_eval.experiments.dropout import dropout as dropout
    from gan_eval.experiments.features import features_of as features_of
    from gan_eval.experiments.filters import filters as filters
    from gan_eval.experiments.interpolate import interpolate as interpolate
    from gan_eval.experiments.neighbors import neighbors as neighbors
    from gan_eval.experiments.score import score as score
    from gan_eval.experiments.score.extractors import ExtractorSpec as ExtractorSpec
    from gan_eval.experiments.score.figures import ScoreProtocol as ScoreProtocol
    from gan_eval.features.modules import Modules as Modules
    from gan_eval.models.dcgan import Discriminator as Discriminator
    from gan_eval.models.dcgan import Generator as Generator
    from gan_eval.models.dcgan import initialise as initialise
    from gan_eval.models.importers import import_newmu as import_newmu
    from gan_eval.models.importers import import_pytorch_examples as import_pytorch_examples
    from gan_eval.models.presets import PRESETS as PRESETS
    from gan_eval.models.presets import configure as configure
    from gan_eval.models.runs import Run as Run
    from gan_eval.models.sampling import generate as generate
    from gan_eval.probes.estimator import L2SVM as L2SVM
    from gan_eval.probes.nearest_estimator import NearestNeighbor as NearestNeighbor
    from gan_eval.probes.protocol import choose_protocol as choose_protocol
    from gan_eval.report.compare import compare as compare
    from gan_eval.report.frames import tables as tables
    from gan_eval.training.config import Request as Request
    from gan_eval.training.job import carry_out as carry_out
    from gan_eval.training.job import new_job as new_job
    from gan_eval.training.job import resumed_job as resumed_job

_HOMES = {
    "L2SVM": "probes.estimator",
    "PRESETS": "models.presets",
    "Discriminator": "models.dcgan",
    "ExtractorSpec": "experiments.score.extractors",
    "Generator": "models.dcgan",
    "Images": "data",
    "InputError": "errors",
    "Modules": "features.modules",
    "NearestNeighbor": "probes.nearest_estimator",
    "Request": "training.config",
    "Run": "models.runs",
    "ScoreProtocol": "experiments.score.figures",
    "arithmetic": "experiments.arithmetic",
    "carry_out": "training.job",
    "choose_protocol": "probes.protocol",
    "classify": "experiments.classify",
    "compare": "report.compare",
    "configure": "models.presets",
    "dedup": "experiments.dedup",
    "dropout": "experiments.dropout",
    "features_of": "experiments.features",
    "filters": "experiments.filters",
    "generate": "models.sampling",
    "import_newmu": "models.importers",
    "import_pytorch_examples": "models.importers",
    "initialise": "models.dcgan",
    "interpolate": "experiments.interpolate",
    "neighbors": "experiments.neighbors",
    "new_job": "training.job",
    "open_images": "data",
    "resumed_job": "training.job",
    "score": "experiments.score",
    "tables": "report.frames",
}

_PARTS = ("data", "metrics", "models", "probes")  # packages with public names of their own

__all__ = list(_HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PARTS, *__all__})


if not TYPE_CHECKING:  # or every name would pass

    def __getattr__(name: str) -> Any:
        if name in _PARTS:
            return importlib.import_module(f"gan_eval.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module 'gan_eval' has no attribute {name!r}")
        return getattr(importlib.import_module(f"gan_eval.{_HOMES[name]}"), name)

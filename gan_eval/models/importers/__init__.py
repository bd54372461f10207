"""Published weights made into a run, so that every command reads them like one trained here."""

from gan_eval.models.importers.newmu import import_newmu
from gan_eval.models.importers.pytorch_examples import import_pytorch_examples

__all__ = ["import_newmu", "import_pytorch_examples"]

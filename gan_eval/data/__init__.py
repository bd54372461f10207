"""Data sets by name, folder or .npz: opened, fitted, held or streamed, and fed batch by batch."""

from gan_eval.data.feed import Feed
from gan_eval.data.images_set import Images
from gan_eval.data.registry import DATA_NAMES, inventory, open_images

__all__ = ["DATA_NAMES", "Feed", "Images", "inventory", "open_images"]

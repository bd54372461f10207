"""scikit-learn's handwritten digits: 1,797 real 8x8 grey images that need no download.

Values 0 to 16 become round(v * 255 / 16), half to even. The split is ours, for there is no official
one here: "train" is the first 80 % (1,437 images), "test" the other 360, "all" both. The images are
in their published order, so that the two parts come from different writers for the most part.

Source: UCI "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak, 1998), test part.
"""

import numpy as np

from gan_eval.data.source import ArrayRows, Source

COUNTS = {"train": 1437, "test": 360, "all": 1797}


def read_digits(split: str) -> Source:
    """Return the part named `split`, one of `COUNTS`."""
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    part = {"train": slice(None, 1437), "test": slice(1437, None), "all": slice(None)}[split]
    pixels = np.rint(values[part] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    return Source(
        rows=ArrayRows("digits", pixels),
        labels=labels[part],
        class_names=tuple("0123456789"),
    )

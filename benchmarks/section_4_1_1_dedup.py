"""Section 4.1.1: near-duplicates by the semantic hash of a denoising autoencoder.

    gan-eval benchmark section_4_1_1_dedup

On LSUN's bedrooms, or on CIFAR-10 where they are missing. How many planted copies are found at each
radius, and what that costs; the paper's rule, equal hashes, is a control, an autoencoder that was
not trained another. In a hurry: a smaller set, where there is one.

Paper: about 275,000 of 3 million bedrooms removed, false positives under 1 in 100.
Ours: results/section_4_1_1_dedup; of CIFAR-10, 86 % of planted copies are found with 1.1 % of the
other images in groups, real duplicates among them. On 2 cores: 20 seconds.
"""

from gan_eval.experiments.dedup import dedup
from gan_eval.experiments.reproduction import Reproduction


def main(asked: Reproduction) -> None:
    small = ("svhn10k",) if asked.quick else ()
    dedup(asked.data(*small, "lsun-bedroom", "cifar10"), **asked.common)

"""Figure 5: what the filters of D's last convolution respond to, by guided backpropagation.

    gan-eval benchmark figure_5_filters

D of `pytorch-examples` trained on faces, as the paper's was on bedrooms; D of `radford2015-svhn`
trained on CIFAR-10, whose labels make selectivity a number. Control: an untrained D. In a hurry:
the second only.

Paper: trained filters respond to beds and windows, random ones to nothing. Ours:
results/figure_5_filters; selectivity .40 on CIFAR-10 (after 50 epochs), an untrained
D's .32, and more concentrated gradients. On 2 cores: 17 and 35 minutes of training, then two. The
50 epochs are Table 1's: what was trained longer is taken as it is.
"""

from gan_eval.experiments.filters import filters
from gan_eval.experiments.reproduction import Reproduction

RUNS = {"radford2015-svhn": ("cifar10", 20), "pytorch-examples": ("celeba", 30)}


def main(asked: Reproduction) -> None:
    for preset, (images, epochs) in list(RUNS.items())[: 1 if asked.quick else None]:
        with asked.row(f"{preset} on {images}"):
            run = asked.trained(preset, asked.data(images), epochs)
            # Pictures of several runs lie side by side.
            filters(run, **{**asked.common, "out": asked.out / run.folder.name})

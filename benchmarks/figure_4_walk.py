"""Figure 4: a walk through Z. Is it smooth, and is every frame plausible?

    gan-eval benchmark figure_4_walk

`pytorch-examples` trained on CelebA or its stand-in of 18,000 faces, and on LSUN's bedrooms where
these are there. Controls: a cross-fade of the end images, an untrained generator, and the training
images that are nearest to the frames.

Paper: pictures of bedrooms that change smoothly. Ours: results/figure_4_walk; of faces, the largest
step is 1.46 times the mean one, of training images 5.03 times. On 2 cores: 35 minutes of training,
then ten seconds.
"""

from gan_eval.experiments.interpolate import interpolate
from gan_eval.experiments.reproduction import Reproduction

PRESET, EPOCHS, BEDROOM_EPOCHS = "pytorch-examples", 30, 5


def main(asked: Reproduction) -> None:
    interpolate(asked.trained(PRESET, asked.data("celeba"), EPOCHS), **asked.common)
    with asked.row("bedrooms, as in the paper"):
        bedrooms = asked.data("lsun-bedroom")
        run = asked.trained(PRESET, bedrooms, BEDROOM_EPOCHS)
        interpolate(run, **{**asked.common, "out": asked.out / "bedrooms"})

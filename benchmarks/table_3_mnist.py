"""Table 3: MNIST by the nearest generated digit.

    gan-eval benchmark table_3_mnist

`radford2015-mnist`, trained on the first 50,000 of MNIST with their labels, draws labelled samples;
each test digit takes the label of the nearest one. The epoch is chosen on the last 10,000 training
images. Controls: the real 50,000, and an untrained generator. A comparison that is broken off goes
on where it was. With a budget under three hours one million samples, in a hurry 10,000. Trainings
from three seeds, after 5 epochs and with 50,000 samples, show what luck does.

Paper: 2.98 % error with 50,000 samples, 1.48 % with 10 million; real digits 3.1 % (50,000).
Ours: results/table_3_mnist; 3.28 and 1.58 %, real digits 3.34 %. All 200 epochs are needed: the
best of 120 had 3.65 and 2.12 %. On 2 cores: half a minute an epoch, 15 minutes of the samples.
"""

from gan_eval.experiments.neighbors import neighbors
from gan_eval.experiments.reproduction import Reproduction

LEARNED = 50_000  # images; the paper split off 10,000 for validation
EPOCHS, SAMPLES, FEWER, QUICK = 200, 10_000_000, 1_000_000, 10_000
LONG = 10_800.0  # seconds
SEED_EPOCHS, SEED_SAMPLES = 5, 50_000


def main(asked: Reproduction) -> None:
    data = asked.data("mnist")
    run = asked.trained("radford2015-mnist", data, EPOCHS, limit=LEARNED)
    samples = FEWER if asked.seconds and asked.seconds < LONG else SAMPLES
    neighbors(run, samples=QUICK if asked.quick else samples, **asked.common)
    for again in asked.trained_again("radford2015-mnist", data, SEED_EPOCHS, limit=LEARNED):
        # In a folder of its own, as its pictures have the names of the long training's.
        own = {**asked.common, "out": asked.out / again.folder.name}
        neighbors(again, samples=SEED_SAMPLES, epoch=SEED_EPOCHS, **own)

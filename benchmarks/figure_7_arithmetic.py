"""Figure 7: smiling woman - neutral woman + neutral man, and glasses from a man to a woman.

    gan-eval benchmark figure_7_arithmetic

Faces of `pytorch-examples`, trained on CelebA or its stand-in. Classifiers of real faces choose the
exemplars, others judge 200 sums of three random exemplars each: do they show it, and no overlay of
faces? Controls: single exemplars, the same sums of pixels, a random direction. From three seeds; in
a hurry from one, 100 sums, the first concept only.

Paper: both work by eye, with three exemplars and not with one; pixels give noisy overlaps. Ours:
results/figure_7_arithmetic; smiling men in 85 % of sums (other seeds 81.5 and 88.5 %; of single
exemplars 55.5, 52 and 59.5 %), women with glasses in 18 % (20.5, 14.5; 10, 11.5, 8; real ones are
seen as that in 44 to 48 %), overlays in 0 to 1.5 %, of pixels in 99.5 to 100 %. On 2 cores: 35
minutes of training, then 75 seconds a concept and seed.
"""

from gan_eval.experiments.arithmetic import arithmetic
from gan_eval.experiments.reproduction import Reproduction

SUMS = {
    "smile": {"a": "Smiling,-Male", "b": "-Smiling,-Male", "c": "-Smiling,Male"},
    "glasses": {"a": "Eyeglasses,Male", "b": "-Eyeglasses,Male", "c": "-Eyeglasses,-Male"},
}


SEEDS = (2, 1, 0)  # the pictures of the last one stay


def main(asked: Reproduction) -> None:
    run = asked.trained("pytorch-examples", asked.data("celeba"), 30)
    for name, concepts in list(SUMS.items())[: 1 if asked.quick else None]:
        where = {**asked.common, "out": asked.out / name}
        for seed in SEEDS[2 if asked.quick else 0 :]:
            arithmetic(run, concepts, trials=100 if asked.quick else 200, seed=seed, **where)

"""Figure 6: forgetting to draw an object.

    gan-eval benchmark figure_6_forget

Eyeglasses, hats and smiles on the faces of `pytorch-examples`, trained on CelebA or its stand-in.
Boxes are found by a classifier of real faces, and another, strict one says which of 2,000 samples
show the object, and which of these still do. Controls: as many random maps, and the maps of most
negative weight. From three seeds; in a hurry from one, eyeglasses only.

Paper: windows of bedrooms, about 200 of 256 maps dropped, by eye. Ours: results/figure_6_forget; of
samples with eyeglasses 42 % still show them (other seeds 71 and 41 %; without random maps 81, 82,
89), of hats 56 % (72, 58; 68, 76, 70), of smiles 82 % (89, 80; 72, 48, 62): these stay. On 2 cores:
35 minutes of training, then a minute an object and seed.
"""

from gan_eval.experiments.dropout import dropout
from gan_eval.experiments.reproduction import Reproduction

OBJECTS = ("Eyeglasses", "Wearing_Hat", "Smiling")


SEEDS = (2, 1, 0)  # the pictures of the last one stay


def main(asked: Reproduction) -> None:
    run = asked.trained("pytorch-examples", asked.data("celeba"), 30)
    for name in OBJECTS[: 1 if asked.quick else None]:
        for seed in SEEDS[2 if asked.quick else 0 :]:
            dropout(run, attribute=name, seed=seed, **asked.common)

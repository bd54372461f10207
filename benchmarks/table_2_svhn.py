"""Table 2: SVHN with 1,000 labels, from a discriminator's features.

    gan-eval benchmark table_2_svhn

On SVHN or its stand-in svhn10k, crops of the official test part split by photograph: not comparable
with the paper's numbers. Rows, under the authors' protocol (C chosen on validation over 10 draws of
100 labels per class, then 100 fresh draws): D with the authors' released weights (newmu-svhn/ under
the data root), D of `radford2015-svhn` trained on the training part and nothing else, untrained D,
pixels, k-means; and that D after 50 epochs, trained from three seeds. In a hurry: 10 draws, no
k-means and one seed.

Paper: 22.48 % error; a supervised network of the same architecture 28.87 % (validation).
Ours: results/table_2_svhn; on svhn10k 19.2 ± 1.0 % by the authors' weights, 23.8 ± 1.0 % by a D
trained on its 3,957 training images. On 2 cores: 30 minutes of training, 2 of the rest.
"""

from gan_eval.experiments.classify import classify
from gan_eval.experiments.features import FeatureSpec, features_of
from gan_eval.experiments.reproduction import Reproduction
from gan_eval.probes.protocol import choose_protocol

EPOCHS, QUICK_DRAWS = 200, 10
SEED_EPOCHS = 50


def main(asked: Reproduction) -> None:
    data = asked.data("svhn")
    specs: list[FeatureSpec] = []
    with asked.row("D with the authors' weights"):
        specs += features_of(("disc",), [asked.authors()])
    own = asked.trained("radford2015-svhn", data, EPOCHS)
    names = ("disc", "random-disc", "pixels", *(["kmeans"] if not asked.quick else []))
    specs += features_of(names, [own])
    again = asked.trained_again("radford2015-svhn", data, SEED_EPOCHS)
    specs += features_of(("disc",), again, epoch=SEED_EPOCHS) if again else []
    draws = QUICK_DRAWS if asked.quick else None
    classify(specs, data, choose_protocol("authors-svhn", draws=draws), **asked.common)

"""The exhibits of Radford, Metz & Chintala 2015, and what each shows without a number.

Most of them are pictures. Here each claim has a score, and controls that it must beat.
"""

from dataclasses import dataclass

from gan_eval.report.paper import DIGITS, Condition


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A table or figure, by the folder of `results/` that it lives in.

    Attributes:
        title, heading: as in "Table 2" and what it is about.
        claim: what the paper says with it.
        kind: `Record.exhibit` of its numbers; None where they are lines of a script.
    """

    folder: str
    title: str
    heading: str
    claim: str
    kind: str | None = None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What the paper shows without a number: a score that is to be better than its controls.

    Attributes:
        ours: path of the score.
        at: the number of samples, where the path leads to a curve.
        against: paths of the controls' scores, * standing for any name; none decides without one.
        trials: path of the number of trials that the score, a rate, is of; its 95 % interval is
            Wilson's.
        name: of the records that are meant.
        needs: controls without which it is not decided, by their names.
        holds_for: what must be so of a record for it to be decided.
    """

    exhibit: str
    what: str
    ours: str
    at: int | None = None
    against: tuple[str, ...] = ()
    trials: str | None = None
    smaller_is_better: bool = True
    fraction: bool = True
    name: str | None = None
    needs: tuple[str, ...] = ()
    holds_for: tuple[Condition, ...] = ()


EXHIBITS = (
    Exhibit(
        folder="table_1_cifar10",
        title="Table 1",
        heading="CIFAR-10 from discriminator features",
        claim="What D learned from ImageNet without labels classifies CIFAR-10 by a linear SVM.",
        kind="classify",
    ),
    Exhibit(
        folder="table_2_svhn",
        title="Table 2",
        heading="SVHN with 1,000 labels",
        claim="A thousand labels suffice where D saw the images without them.",
        kind="classify",
    ),
    Exhibit(
        folder="table_3_mnist",
        title="Table 3",
        heading="nearest-neighbour classification with generated MNIST",
        claim="Generated digits stand for real ones: the nearest of them names a test digit.",
        kind="neighbors",
    ),
    Exhibit(
        folder="figure_2_3_samples",
        title="Figure 2, Figure 3",
        heading="samples after one and after five epochs",
        claim="Samples look like the images after one epoch already, and are not memorised.",
    ),
    Exhibit(
        folder="section_4_1_1_dedup",
        title="§4.1.1",
        heading="de-duplication",
        claim="Equal codes of an autoencoder find near-duplicates, and hardly anything else.",
        kind="dedup",
    ),
    Exhibit(
        folder="figure_4_walk",
        title="Figure 4",
        heading="walking in Z",
        claim="Between two points of Z images change smoothly, and every one is plausible.",
        kind="interpolate",
    ),
    Exhibit(
        folder="figure_5_filters",
        title="Figure 5",
        heading="what D's filters respond to",
        claim="D's filters respond to parts of objects; an untrained D's do not.",
        kind="filters",
    ),
    Exhibit(
        folder="figure_6_forget",
        title="Figure 6",
        heading="forgetting to draw an object",
        claim="Without the maps that tell where an object is, G no longer draws it.",
        kind="dropout",
    ),
    Exhibit(
        folder="figure_7_arithmetic",
        title="Figure 7",
        heading="vector arithmetic for visual concepts",
        claim="Smiling woman - neutral woman + neutral man is a smiling man.",
        kind="arithmetic",
    ),
    Exhibit(
        folder="figure_8_turn",
        title="Figure 8",
        heading="a turn vector",
        claim="A direction of Z, found from eight averaged samples, turns faces.",
        kind="arithmetic",
    ),
    Exhibit(
        folder="fid_table",
        title="FID",
        heading="generation metrics, not in the paper",
        claim="Rows of unlike protocols stand in tables of their own and are not ranked together.",
        kind="score",
    ),
)

CLAIMS = (
    *(
        Claim(
            exhibit=exhibit,
            what="D's features are better than every control's: error",
            ours="result.error_mean",
            against=("controls.*",),
            trials="result.n_test",
            name="disc",
            needs=("random-disc", "pixels", "kmeans"),
            holds_for=(
                Condition(
                    what="D's part of the data",
                    path="config.trained.trained_split",
                    wanted=("train", "extra", "unlabeled", None),  # without test images
                ),
            ),
        )
        for exhibit in ("table_1_cifar10", "table_2_svhn")
    ),
    Claim(
        exhibit="table_3_mnist",
        what="50,000 generated digits are better than 50,000 real ones: error",
        ours="result.curve",
        at=50_000,
        against=("controls.real.error",),
        holds_for=DIGITS,
        trials="config.data.n_test",
    ),
    Claim(
        exhibit="section_4_1_1_dedup",
        what="planted copies that are found, more than by equal hashes and an untrained hash",
        ours="result.planted_recall",
        against=("controls.*.planted_recall",),
        trials="protocol.planted",
        # Any radius that is large enough finds all.
        holds_for=(Condition(what="radius", path="config.radius", wanted=("chosen",)),),
        smaller_is_better=False,
    ),
    Claim(
        exhibit="figure_4_walk",
        what="largest step divided by the mean one, less than between training images",
        ours="result.jump_ratio",
        against=("controls.memorised.jump_ratio",),
        fraction=False,
    ),
    Claim(
        exhibit="figure_4_walk",
        what="distance of frames to the nearest training image (a copy has 0)",
        ours="result.nearest_train_distance",
        smaller_is_better=False,
        fraction=False,
    ),
    *(
        Claim(
            exhibit="figure_5_filters",
            what=f"{score} is above an untrained D's",
            ours=f"result.{score}",
            against=(f"controls.untrained.{score}",),
            smaller_is_better=False,
            fraction=False,
        )
        for score in ("selectivity", "concentration")
    ),
    Claim(
        exhibit="figure_6_forget",
        what="share of samples with the object that still show it, less than without other maps",
        ours="result.still",
        against=("controls.*.still",),
        trials="result.shown",
    ),
    Claim(
        exhibit="figure_6_forget",
        what="how far the images change otherwise, less than without other maps",
        ours="result.feature_distance",
        against=("controls.*.feature_distance",),
        fraction=False,
    ),
    Claim(
        exhibit="figure_7_arithmetic",
        what="sums that show what they should, more than of single exemplars and random directions",
        ours="result.success_rate",
        against=("controls.single_exemplar.success_rate", "controls.random_direction.success_rate"),
        trials="result.trials",
        smaller_is_better=False,
    ),
    Claim(
        exhibit="figure_7_arithmetic",
        what="sums that are taken for overlays of images, fewer than sums of pixels",
        ours="result.overlaid",
        against=("controls.pixel_arithmetic.overlaid",),
        trials="result.trials",
    ),
    Claim(
        exhibit="figure_8_turn",
        what="samples that show what was turned to (an attribute, no pose), more than before",
        ours="result.turn.rates.8",
        against=("result.turn.rates.4", "controls.random_direction.turn.rates.8"),
        trials="result.turn.trials",
        smaller_is_better=False,
    ),
)

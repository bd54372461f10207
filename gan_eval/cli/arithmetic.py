"""`gan-eval arithmetic`."""

from pathlib import Path
from typing import Any

import click

import gan_eval
from gan_eval.cli.experiment import last_options, show
from gan_eval.cli.options import UserPath, data_root_option, epoch_option
from gan_eval.cli.output import percent, print_table, say
from gan_eval.errors import InputError

_CONCEPT = "Samples by number, as 3,17,40, or by attribute, as Smiling,-Male."


@click.command(short_help="Add and subtract concepts in Z, and turn faces (Figures 7 and 8).")
@click.argument("run", type=UserPath())
@click.option("--a", metavar="WHICH", help=_CONCEPT)
@click.option("--b", metavar="WHICH", help="What is subtracted.")
@click.option("--c", metavar="WHICH", help="What is added.")
@click.option(
    "--target", help="Attributes a - b + c is to have.  [default: what --a, --b and --c say]"
)
@click.option("--turn", metavar="FROM:TO", help="Ends of a turn vector, each as --a.")
@click.option(
    "--choices",
    type=UserPath(),
    help="Samples of an earlier call, its arithmetic-choices.json.",
)
@click.option(
    "--n",
    type=click.IntRange(min=1),
    default=2000,
    help="Samples to choose of; numbers are below it.",
)
@click.option("--trials", type=click.IntRange(min=1), default=200, help="Random sums.")
@click.option("--label", type=int, help="Of all images of a conditional RUN.  [default: the first]")
@epoch_option
@click.option("--data", help="Labelled images: a name, folder or .npz.  [default: the RUN's own]")
@data_root_option
@last_options(
    seed="Of samples and of all that is drawn.",
    out="Where record, choices and pictures go.  [default: the RUN's folder]",
)
def arithmetic(run: Path, turn: str | None, **options: Any) -> None:
    """Draw a - b + c of averaged samples, and count in how many random sums it succeeds.

    Attributes are those of labelled data: classifiers of real images pick the samples, and others
    judge the sums: do they show it, and is each one image or several laid over each other? A class
    named by a number is "class 3". Samples' numbers are on `gan-eval sample RUN --contact-sheet`.

    \b
    gan-eval arithmetic runs/faces --a Smiling,-Male --b -Smiling,-Male --c -Smiling,Male
    gan-eval arithmetic runs/faces --a 3,17,40 --b 5,9,12 --c 1,2,8 --target Smiling,Male
    gan-eval arithmetic runs/faces --turn 4,18,33,51:2,7,30,44
    """
    asked = {name: options.pop(name) for name in ("a", "b", "c")}
    if turn is not None:
        asked["from"], colon, asked["to"] = turn.partition(":")
        if not colon:
            raise InputError(f"--turn must be FROM:TO, as 4,18,33,51:2,7,30,44. Got {turn!r}.")
    given = {name: words for name, words in asked.items() if words is not None}
    show(gan_eval.arithmetic, gan_eval.Run(run), _tables, asked=given, **options)


def _tables(record: Any) -> None:
    if record.result["success_rate"] is None:
        say("No success rate: attributes, or --target, must say what a - b + c is to have.")
    else:
        print_table(
            f"Sums in which {record.config['target']} is seen"
            + " and no overlay of images" * (record.result["overlaid"] is not None)
            + ", in %, with 95 % Wilson intervals",
            ("sum", "success", "low", "high", "trials", "seen", "overlaid"),
            (
                (
                    name,
                    *(percent(row[key]) for key in ("success_rate", "low", "high")),
                    row["trials"],
                    *(percent(row[key]) for key in ("seen", "overlaid")),
                )
                for name, row in (("of three exemplars", record.result), *record.controls.items())
            ),
        )
    if record.result["turn"]:
        turn = record.result["turn"]
        print_table(
            f"The turn leads to {record.config['turn_target']}: seen, in % of {turn['trials']}",
            ("step", "seen", "random direction"),
            zip(
                (f"{step:+g}" for step in turn["steps"]),
                map(percent, turn["rates"]),
                map(percent, record.controls["random_direction"]["turn"]["rates"]),
                strict=True,
            ),
        )
    overlay = record.config["overlay_by"]
    for classifier in (*record.config["judged_by"], *([overlay] if overlay else [])):
        right = percent(classifier["accuracy"])
        say(f"{classifier['attribute']}: judged right in {right} % of real images (balanced)")

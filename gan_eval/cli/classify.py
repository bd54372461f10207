"""`gan-eval classify`."""

from collections.abc import Iterable, Sequence
from typing import Any

import click

import gan_eval
from gan_eval.cli.experiment import last_options
from gan_eval.cli.options import (
    UserPath,
    choice_option,
    data_root_option,
    epoch_option,
    numbers,
    store_option,
)
from gan_eval.cli.output import document, percent, print_json, print_table, say, say_files
from gan_eval.cli.progress import Watching
from gan_eval.errors import InputError

_COLUMNS = ("features", "width", "C", "train", "validation", "test", "±", "draws", "seconds")
# What `FeatureSpec` takes as it was given.
_OF_FEATURES = (
    "epoch", "preset", "layers", "pool", "batch_norm", "mirror", "shifts", "maps", "weights",
)  # fmt: skip
_OF_CALL = ("solver", "store", "dtype", "device", "precision", "out")


@click.command(short_help="Classify images by what a discriminator learned (Tables 1 and 2).")
@click.argument("runs", nargs=-1, metavar="[RUN]...", type=UserPath())
@click.option(
    "--features",
    multiple=True,
    help="disc (a RUN's discriminator), random-disc (an untrained one), pixels, kmeans, inception,"
    " torchvision:NAME; several with commas."
    "  [default: disc of a RUN, else pixels]",
)
@click.option("--data", help="Labelled: a name from `gan-eval data`, a folder, or an .npz.")
@data_root_option
@click.option(
    "--protocol",
    help="authors-svhn (100 labels per class), paper-cifar10 (all labels) or paper-cifar10-400."
    "  [default: paper-cifar10; authors-svhn with --labels-per-class]",
)
@click.option("--labels-per-class", type=click.IntRange(min=1), help="Labels of each class.")
@click.option("--draws", type=click.IntRange(min=1), help="Draws of such labels that are tested.")
@click.option(
    "--c-grid",
    callback=numbers(float, "numbers", "1e-4,1e-3"),
    metavar="1e-4,1e-3",
    help="Values of C to choose from.  [default: the protocol's]",
)
@click.option(
    "--layers",
    callback=numbers(int, "numbers", "1,2"),
    metavar="1,2",
    help="Convolutions of D, from 1.  [default: all]",
)
@click.option(
    "--pool",
    type=click.IntRange(min=1),
    default=4,
    help="Side of the grid that D's maps are max-pooled to.",
)
@choice_option(
    "--batch-norm",
    ["dataset", "running", "batch"],
    help="Whose statistics D normalises by: the data's, training's or each batch's.",
)
@click.option("--mirror", is_flag=True, help="Mean over each image and its mirror image.")
@click.option(
    "--shifts",
    callback=numbers(int, "numbers", "2,4"),
    metavar="3",
    help="Mean over shifts by so many pixels (3: 9 views, 2,4: 25), mirror images included.",
)
@click.option(
    "--maps",
    type=click.IntRange(min=2),
    default=1600,
    help="Centroids of kmeans.",
)
@click.option("--preset", help="Architecture of random-disc without a RUN.")
@click.option(
    "--weights",
    type=UserPath(),
    help="File for inception or torchvision:NAME, which is untrained without one.",
)
@epoch_option
@choice_option(
    "--solver", ["newton", "liblinear"], help="liblinear is scikit-learn's, the reference."
)
@store_option
@choice_option("--dtype", ["float16", "float32"], help="In which features are kept.")
@last_options(
    seed="Of draws, untrained weights and k-means.",
    out="Where records and figures go.  [default: the RUN's folder, else results]",
)
def classify(**options: Any) -> None:
    """Classify images by features that were learned without labels, with a linear SVM.

    C is chosen on validation images; the test images are not looked at before.

    \b
    gan-eval classify --data digits --features pixels,kmeans
    gan-eval classify --data digits --features random-disc --preset radford2015-svhn
    gan-eval classify runs/quickstart --data digits --labels-per-class 10 --draws 20
    gan-eval classify runs/svhn --features disc,random-disc --data svhn --protocol authors-svhn
    torchrun --nproc-per-node 2 -m gan_eval classify runs/svhn --data svhn
    """
    if not options["data"]:
        raise InputError(
            "--data must name labelled images. Got nothing; see `gan-eval data` for what there is."
        )
    runs = [gan_eval.Run(folder) for folder in options["runs"]]
    given = [name for text in options["features"] for name in text.split(",")]
    specs = gan_eval.features_of(
        given or (["disc"] if runs else ["pixels"]),
        runs,
        seed=options["seed"],
        **{name: options[name] for name in _OF_FEATURES},
    )
    protocol = gan_eval.choose_protocol(
        options["protocol"],
        **{name: options[name] for name in ("labels_per_class", "draws", "c_grid", "seed")},
    )
    with Watching() as watch:
        found = gan_eval.classify(
            specs,
            options["data"],
            protocol,
            root=options["data_root"],
            watch=watch,
            **{name: options[name] for name in _OF_CALL},
        )
    if found:  # what torchrun's other processes do not have
        _report(found, len(runs) > 1, options["as_json"])


def _report(found: Sequence[Any], several_runs: bool, as_json: bool) -> None:
    records = [each.record for each in found]
    if as_json:
        documents = [document(each) for each in found]
        print_json(documents if len(documents) > 1 else documents[0])
        return
    data, protocol = records[0].config["data"], records[0].protocol
    print_table(
        f"{data['name']} by {protocol['name']}: errors in %, ± 1.96 std over draws of labels",
        _COLUMNS,
        (row(each, several_runs) for each in found),
    )
    for note in dict.fromkeys(note for each in records for note in each.config["data"]["notes"]):
        say(f"data: {note}")
    for record in records:
        for advice in record.advice:
            say(f"{record.name}: {advice}")
    say_files(sorted({path for each in found for path in each.files}))


def row(found: Any, several_runs: bool = False) -> Iterable[Any]:
    """Return a row of the table, in the order of its columns."""
    record, result = found.record, found.record.result
    run = f" of {found.spec.run.folder}" if several_runs and record.name == "disc" else ""
    return (
        f"{found.spec.shown(record.name)}{run}",
        result["feature_width"],
        f"{result['C']:g}",
        percent(result["train_error"]),
        percent(result["validation_error"]),
        percent(result["error_mean"]),
        percent(result["error_spread"]) if result["draws"] > 1 else None,
        result["draws"],
        f"{record.seconds:.1f}",
    )

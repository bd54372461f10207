"""`gan-eval score`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

import gan_eval
from gan_eval.cli.experiment import last_options
from gan_eval.cli.options import (
    UserPath,
    choice_option,
    data_root_option,
    epoch_option,
    store_option,
)
from gan_eval.cli.output import number, print_json, print_table, say
from gan_eval.cli.progress import Watching
from gan_eval.errors import InputError

_COLUMNS = ("model", "FID", "KID x 1000", "IS", "precision", "recall", "density", "coverage", "s")


@click.command(short_help="Score generated images: FID, KID, IS, precision and recall.")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--against", help="The reference: the same kinds as MODEL.")
@click.option(
    "--metrics",
    default="fid,kid,isc,prdc",
    help="Some of these, with commas; isc, the Inception score, of inception alone.",
)
@click.option(
    "--extractor",
    default="inception",
    help="inception, inception-768, inception-192, inception-64, disc (each RUN's own, its "
    "newest weights), disc:RUN, pixels or torchvision:NAME.",
)
@click.option(
    "--inception-weights",
    "--weights",
    "weights",
    type=UserPath(),
    help="File of Inception's weights, or of torchvision's network.  [default: Inception's in "
    "torch hub's folder]",
)
@choice_option(
    "--resize", ["pytorch-fid", "clean"], help="How Inception's images reach 299 pixels."
)
@choice_option("--precision", ["32", "bf16"], help="Of the extractor.")
@click.option("--n", default=10_000, help="Samples drawn of each run.")
@epoch_option
@click.option(
    "--kid-subset-size",
    type=click.IntRange(min=2),
    default=1000,
    help="Images in each of KID's 100 subsets.",
)
@click.option("--fid-infinity", is_flag=True, help="Also the FID of infinitely many samples.")
@click.option(
    "--save-statistics",
    type=UserPath(),
    help="An .npz for the reference's mean and covariance, as pytorch-fid reads it.",
)
@data_root_option
@store_option
@last_options(
    seed="Of samples, subsets and untrained weights.",
    out="Where records go.  [default: the RUN's folder, else results]",
    precision=False,
)
def score(models: tuple[str, ...], against: str | None, as_json: bool, **options: Any) -> None:
    """Score generated images against real ones.

    A MODEL, and the reference, is a run, a data set's name (cifar10:test for another than its
    training part), a folder of images, an .npz or .npy of images, or an .npz of statistics. A
    reference is fitted to a run's size. Rows that differ in anything that their figures depend on
    go to different tables.

    \b
    gan-eval score runs/svhn --against svhn:test
    gan-eval score runs/a runs/b --against cifar10 --n 50000 --fid-infinity
    gan-eval score samples/ --against photos/ --metrics fid --extractor inception-192
    gan-eval score runs/a runs/b --against digits --extractor pixels --kid-subset-size 100
    gan-eval score --against cifar10 --save-statistics cifar10-statistics.npz
    torchrun --nproc-per-node 2 -m -- gan_eval score runs/svhn --against svhn --n 50000
    """
    from gan_eval.devices import processes

    if not against:
        raise InputError(
            "--against must name what models are compared with. Got nothing; name real images, "
            "such as --against cifar10."
        )
    protocol = gan_eval.ScoreProtocol(
        **{name: options[name] for name in ("metrics", "kid_subset_size", "fid_infinity", "seed")},
    )
    extractor = gan_eval.ExtractorSpec(
        name=options["extractor"],
        **{name: options[name] for name in ("weights", "resize", "precision", "seed")},
    )
    with Watching() as watch:
        found = gan_eval.score(
            models,
            against,
            protocol=protocol,
            extractor=extractor,
            root=options["data_root"],
            save=options["save_statistics"],
            watch=watch,
            **{name: options[name] for name in ("n", "epoch", "store", "device", "out")},
        )
    if processes()[0] == 0:
        _report(found, options["save_statistics"], as_json)


def _report(found: Sequence[Any], saved: Path | None, as_json: bool) -> None:
    from gan_eval.experiments.score.account import tables_of

    records = [each.record for each in found]
    files = sorted(
        {str(path.resolve()) for path in (*(each.files[0] for each in found), saved) if path}
    )
    for advice in dict.fromkeys(text for record in records for text in record.advice):
        say(f"Warning: {advice}")
    if as_json:
        documents = [document(record, files) for record in records] or [{"files": files}]
        print_json(documents if len(documents) > 1 else documents[0])
        return
    for table in tables_of(records):
        print_table(table[0].protocol["name"], _COLUMNS, map(row, table))
        for side in ("real", "fake"):
            for note in dict.fromkeys(n for each in table for n in each.config[side]["notes"]):
                say(f"{side}: {note}")
    say(f"Written: {', '.join(files)}")


def document(record: Any, files: Sequence[str]) -> dict[str, Any]:
    """Return a row for `--json`: the figures, and everything that they depend on."""
    return {
        "model": record.name,
        "fingerprint": record.fingerprints["fake"],
        **record.result,
        "network_precision": record.precision,
        "protocol": dict(record.protocol),
        "seed": record.seed,
        "device": record.device,
        "seconds": record.seconds,
        "versions": dict(record.versions),
        "commit": record.commit,
        "notes": [*record.config["real"]["notes"], *record.config["fake"]["notes"]],
        "advice": list(record.advice),
        "files": list(files),
    }


def row(record: Any) -> Iterable[Any]:
    """Return a row of the table, in the order of its columns."""
    result = record.result
    infinite = "" if result["fid_infinity"] is None else f" (∞ {result['fid_infinity']:.4g})"
    architecture = result["architecture"]
    return (
        f"{record.name} ({architecture})" if architecture else record.name,
        number(result["fid"], ".4g") and f"{number(result['fid'], '.4g')}{infinite}",
        _spread(result["kid_mean"], result["kid_std"], 1000),
        _spread(result["isc_mean"], result["isc_std"], 1),
        *(number(result[name], ".3f") for name in _COLUMNS[4:8]),
        f"{record.seconds:.1f}",
    )


def _spread(mean: float | None, std: float | None, factor: float) -> str | None:
    if mean is None or std is None:
        return None
    return f"{factor * mean:.3g} ± {factor * std:.2g}"

"""`gan-eval presets`."""

from typing import Any

import click

import gan_eval
from gan_eval.cli.options import json_option
from gan_eval.cli.output import print_json, print_table

_COLUMNS = ("name", "image_size", "channels", "latent_dim", "prior", "conditional",
            "generator_parameters", "discriminator_parameters", "feature_width")  # fmt: skip


@click.command(short_help="List the published networks that can be trained.")
@json_option
def presets(as_json: bool) -> None:
    """List the published networks that can be trained, with their sizes and sources.

    \b
    gan-eval presets
    gan-eval presets --json
    """
    rows = [_row(published) for published in gan_eval.PRESETS.values()]
    if as_json:
        print_json(rows)
        return
    print_table("Presets", _COLUMNS, ([row[name] for name in _COLUMNS] for row in rows))
    for row in rows:
        click.echo(f"{row['name']}: {row['source']}")


def _row(published: Any) -> dict[str, Any]:
    import torch

    from gan_eval.models.dcgan import Discriminator, Generator, parameter_count

    generator = published.generator
    with torch.device("meta"):
        networks = Generator(generator), Discriminator(published.discriminator)
    return {
        "name": published.name,
        "image_size": generator.image_size,
        "channels": generator.channels,
        "latent_dim": generator.latent_dim,
        "prior": generator.prior,
        "conditional": published.conditional,
        "generator_parameters": parameter_count(networks[0]),
        "discriminator_parameters": parameter_count(networks[1]),
        "feature_width": published.discriminator.feature_width(),
        "source": published.source,
    }

"""What all formats share: the files' hashes, and writing the run so that a kill leaves none."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from gan_eval.files import file_sha256, remove_unfinished
from gan_eval.models.dcgan import Discriminator, Generator
from gan_eval.models.presets import Preset
from gan_eval.models.run_config import ImportConfig, RunConfig
from gan_eval.models.runs import Run
from gan_eval.models.weights import save_network
from gan_eval.records import versions

Network = Generator | Discriminator
Part = Literal["generator", "discriminator"]

# Of the draws from which missing statistics are estimated.
SEED = 0

_NOT_HERE = "weights are imported: the recipe is the published one and was not carried out here"


def build(published: Preset, part: Part) -> Network:
    """Return one network of `published`, its weights not yet filled."""
    if part == "generator":
        return Generator(published.generator)
    return Discriminator(published.discriminator)


def hashes(files: Iterable[Path]) -> dict[str, str]:
    """Return name -> SHA-256 of the files' bytes."""
    return {path.name: file_sha256(path) for path in files}


def write_imported(
    run: Run,
    published: Preset,
    imported: ImportConfig,
    networks: Mapping[Part, Network],
    deviations: tuple[str, ...],
) -> Run:
    """Write the run of `networks`, which were trained elsewhere by the recipe of `published`."""
    config = RunConfig(
        preset=published.name,
        source=published.source,
        generator=published.generator,
        discriminator=published.discriminator,
        recipe=published.recipe,
        data=None,
        seed=SEED,
        steps=0,
        steps_per_epoch=0,
        precision="32",
        device="cpu",
        world_size=1,
        save_epochs=(),
        deviations=(_NOT_HERE, *deviations),
        versions=versions(),
        imported=imported,
    )
    remove_unfinished(run.folder)
    paths = {part: run.folder / f"{part}.safetensors" for part in networks}
    about = {"preset": published.name, "epoch": imported.epoch}
    try:
        for part, network in networks.items():
            save_network(paths[part], network, about)
        # Last, because it is what makes a folder a run: a kill before leaves none.
        run.write_config(config)
    except BaseException:  # a full disk, or Ctrl-C
        for path in paths.values():
            path.unlink(missing_ok=True)
        raise
    return run

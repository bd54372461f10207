"""The ledger of a run: what differs from its source, beside the network, a line each."""

from collections.abc import Iterator

from gan_eval.data import Images
from gan_eval.models.presets import Preset, preset
from gan_eval.models.recipe import Recipe
from gan_eval.models.run_config import RunConfig
from gan_eval.records import LENGTH

_NAMED = 5  # classes without images that are named, at most


def length(published: Recipe, epochs: int | None, steps: int | None) -> tuple[str, ...]:
    """Return that a training is of another length than the published, if it is."""
    if epochs in (None, published.epochs) and steps is None:
        return ()
    wanted = f"{steps} steps" if steps else f"{epochs} epochs"
    return (f"{LENGTH} {wanted} instead of {published.epochs} epochs",)


def of_length(config: RunConfig, epochs: int | None, steps: int | None) -> tuple[str, ...]:
    """Return the ledger of a run of this length, whatever length it has."""
    published = preset(config.preset)
    kept = (
        text
        for text in config.deviations
        if not text.startswith(LENGTH) or text in published.deviations
    )
    return (*kept, *length(published.recipe, epochs, steps))


def differences(
    published: Preset, recipe: Recipe, images: Images, precision: str, world_size: int
) -> Iterator[str]:
    """Yield what else differs from what was published, by recipe, images and processes."""
    batch_size = recipe.batch_size
    if batch_size != published.recipe.batch_size:
        yield f"batch_size {batch_size} instead of {published.recipe.batch_size}"
    if precision == "bf16":
        yield "products in bf16 where the source computes in float32"
    left = len(images) % batch_size
    if left:
        n = len(images)
        yield f"each epoch leaves out {left} of {n} images, others each time: no whole batch"
    side = published.pad_from
    if images.native is not None and images.native[1:] == (side, side) and images.fit != "pad":
        yield "images resized where the source pads them with zeros"
    if world_size > 1:
        yield f"batch normalisation over {batch_size // world_size} images, each process's own"
    unseen = images.empty_classes if published.conditional else ()
    if unseen:
        names = [images.class_names[label] for label in unseen[:_NAMED]]
        named = ", ".join([*names, "…"] if len(unseen) > _NAMED else names)
        yield f"no images of {len(unseen)} of {images.num_classes} classes, never drawn: {named}"

"""Widely used re-implementations, as published."""

from dataclasses import replace

from gan_eval.models.config import Layer, Norm
from gan_eval.models.presets.vocabulary import (
    LAST,
    LOGIT,
    PADDING,
    Preset,
    dense,
    down,
    networks,
    up,
)
from gan_eval.models.recipe import Adam, Recipe, Schedule

_TF_RECIPE = Recipe(epochs=25, batch_size=64, generator_updates=2, latent="same")
CARPEDM20_MNIST = Preset(
    name="carpedm20-mnist",
    source="github.com/carpedm20/DCGAN-tensorflow, the branch with labels",
    **networks(
        generator=(
            dense(1024, "units", label=True),
            dense(128, "units", label=True),
            *up(128, 1, last="sigmoid", label=True),
        ),
        discriminator=(
            *down(11, 74, label=True),
            dense(1024, "units", label=True, activation="leaky_relu"),
            replace(LOGIT, label=True),
        ),
        image_size=28,
        channels=1,
        prior="uniform",
        classes=10,
        norm=Norm(),
        bias=True,
        conv_init=("normal", "truncated"),
    ),
    recipe=_TF_RECIPE,
    channels=(1,),
    fixed_because="its dense layer makes 7x7 maps that are doubled twice",
    deviations=(PADDING,),
)

CARPEDM20 = Preset(
    name="carpedm20",
    source="github.com/carpedm20/DCGAN-tensorflow, the branch without labels",
    **networks(
        generator=(dense(512), *up(256, 128, 64, 3)),
        discriminator=(*down(64, 128, 256, 512), LOGIT),
        image_size=64,
        prior="uniform",
        norm=Norm(),
        bias=True,
        conv_init=("normal", "truncated"),
    ),
    recipe=_TF_RECIPE,
    size_step=1,
    deviations=(PADDING,),
)


def bubbliiiing(d: int = 128) -> Preset:
    """Return the preset at base width `d`: 128 by default, 64 in its training script."""
    adam = Adam(lr=2e-3)
    return Preset(
        name="bubbliiiing",
        source="github.com/bubbliiiing/dcgan-pytorch",
        **networks(
            generator=(dense(8 * d), *up(4 * d, 2 * d, d, 3, kernel=4)),
            discriminator=(*down(d, 2 * d, 4 * d, 8 * d, kernel=4), LOGIT),
            image_size=64,
            prior="normal",
            norm=Norm(gain_mean=0.1, gain_std=0.02),
            bias=True,
        ),
        recipe=Recipe(
            epochs=500,
            batch_size=64,
            generator=adam,
            discriminator=adam,
            latent="fresh",
            schedule=Schedule(shape="cosine", end=500, floor=0.01),
        ),
        size_step=16,
        width=d,
        deviations=(
            "convolution biases of D start at 0 where the source leaves PyTorch's default",
        ),
    )


PYTORCH_EXAMPLES = Preset(
    name="pytorch-examples",
    source="github.com/pytorch/examples, dcgan",
    **networks(
        generator=(
            Layer(kind="transposed", width=512, kernel=4, stride=1),
            *up(256, 128, 64, 3, kernel=4),
        ),
        discriminator=(
            *down(64, 128, 256, 512, kernel=4),
            Layer(kind="conv", width=1, kernel=4, stride=1, **LAST),
        ),
        image_size=64,
        prior="normal",
        norm=Norm(gain_mean=1.0, gain_std=0.02),
        bias=False,
    ),
    recipe=Recipe(epochs=25, batch_size=64),
    fixed_because="its 4x4 stem is doubled four times and its last layer reads 4x4 maps",
)

STHALLES = Preset(
    name="sthalles",
    source="Thalles Silva, 'A short introduction to generative adversarial networks', freeCodeCamp",
    **networks(
        generator=(dense(512), *up(256, 128, 3)),
        discriminator=(*down(64, 128, 256), LOGIT),
        image_size=32,
        prior="uniform",
        norm=Norm(),
        bias=True,
    ),
    recipe=Recipe(epochs=10, batch_size=128, generator_updates=2, latent="same", real_target=0.9),
    fixed_because="its dense layer makes 4x4 maps that are doubled three times",
    pad_from=28,
    deviations=(PADDING,),
)

CS231N_MNIST = Preset(
    name="cs231n-mnist",
    source="CS231n-style MNIST GAN in TensorFlow",
    **networks(
        generator=(
            dense(1),
            Layer(kind="conv", width=50, kernel=3),
            Layer(kind="conv", width=25, kernel=3, resize=2),
            Layer(kind="conv", width=1, kernel=1, resize=2, norm="none", activation="sigmoid"),
        ),
        discriminator=(
            Layer(kind="conv", width=32, stride=1, norm="none", pool=2),
            Layer(kind="conv", width=64, stride=1, norm="none", pool=2),
            Layer(kind="dense", width=1024, norm="none"),
            LOGIT,
        ),
        image_size=28,
        channels=1,
        prior="normal",
        norm=Norm(affine="bias"),
        bias=True,
        conv_init=("truncated", "truncated"),
        dense_init="truncated",
    ),
    recipe=Recipe(
        epochs=84,
        batch_size=50,
        generator=Adam(lr=1e-4, beta1=0.9),
        discriminator=Adam(lr=3e-4, beta1=0.9),
        latent="fresh",
        pretrain_steps=300,
    ),
    channels=(1,),
    fixed_because="its dense layer makes one 56x56 map that is halved to 28x28",
    deviations=(
        PADDING,
        "maps enlarged by pixel centres where TensorFlow 1 copies every other pixel",
        "G's biases start at 0 where the source draws them as its weights",
        "samples normalised by running averages where the source takes the batch's own",
        "trained for 84 epochs, about 100,000 steps; its author's run broke off",
    ),
)

"""The paper's own networks and recipes: Radford, Metz & Chintala 2015, arXiv:1511.06434."""

from dataclasses import replace
from typing import Any

from gan_eval.models.config import Norm
from gan_eval.models.presets.vocabulary import (
    BN_MEAN,
    LOGIT,
    Preset,
    dense,
    down,
    networks,
    strided,
    up,
)
from gan_eval.models.recipe import Adam, Recipe, Schedule

_DCGAN_NORM = Norm(eps=1e-8, gain_mean=1.0, gain_std=0.02)
_FACES = Adam(weight_decay=1e-5)


def _recipe(adam: Adam, **more: Any) -> Recipe:
    """The authors' order of updates, with one Adam's settings for both networks."""
    return Recipe(generator=adam, discriminator=adam, updates="alternate", **more)


RADFORD2015 = Preset(
    name="radford2015",
    source="Radford, Metz & Chintala 2015, arXiv:1511.06434, figure 1; Newmu/dcgan_code faces",
    **networks(
        generator=(dense(1024, "units"), *up(512, 256, 128, 3)),
        discriminator=(*down(128, 256, 512, 1024), LOGIT),
        image_size=64,
        prior="uniform",
        norm=_DCGAN_NORM,
        bias=False,
    ),
    recipe=_recipe(_FACES, epochs=25, batch_size=128),
    fixed_because="its dense layer makes 4x4 maps that are doubled four times",
    deviations=(BN_MEAN,),
)

_STRIDES_UP = (2, 1, 2, 1, 2, 1)
RADFORD2015_IMAGENET32 = Preset(
    name="radford2015-imagenet32",
    source="Radford, Metz & Chintala 2015, arXiv:1511.06434, section 4.1; Newmu/dcgan_code",
    **networks(
        generator=(
            dense(512, "units"),
            *strided(up(512, 256, 256, 128, 128, 3, kernel=3), _STRIDES_UP),
        ),
        discriminator=(
            *strided(down(128, 128, 256, 256, 512, 512, kernel=3), _STRIDES_UP[::-1]),
            LOGIT,
        ),
        image_size=32,
        latent_dim=256,
        prior="uniform",
        norm=_DCGAN_NORM,
        bias=False,
    ),
    recipe=_recipe(_FACES, epochs=25, batch_size=128),
    fixed_because="its dense layer makes 4x4 maps that are doubled three times",
    deviations=(
        BN_MEAN,
        "epochs and weight decay are those of the faces script; the release is of epoch 30",
    ),
)

RADFORD2015_SVHN = Preset(
    name="radford2015-svhn",
    source="Radford, Metz & Chintala 2015, arXiv:1511.06434, section 5.2; Newmu/dcgan_code svhn",
    **networks(
        generator=(dense(256, "units"), *up(128, 64, 3)),
        discriminator=(*down(64, 128, 256), LOGIT),
        image_size=32,
        prior="normal",
        norm=_DCGAN_NORM,
        bias=False,
    ),
    recipe=_recipe(Adam(lr=5e-4, weight_decay=1e-5), epochs=200, batch_size=64),
    fixed_because="its dense layer makes 4x4 maps that are doubled three times",
    deviations=(BN_MEAN, "weight decay is that of the faces script; none published"),
)

RADFORD2015_MNIST = Preset(
    name="radford2015-mnist",
    source="Radford, Metz & Chintala 2015, arXiv:1511.06434, section 8.1; Newmu/dcgan_code mnist",
    **networks(
        generator=(
            dense(1024, "units", label=True),
            dense(128, "units", label=True),
            *up(64, 1, last="sigmoid", label=True),
        ),
        discriminator=(
            *down(64, 128, label=True),
            dense(1024, "units", label=True, activation="leaky_relu"),
            replace(LOGIT, label=True),
        ),
        image_size=28,
        channels=1,
        prior="uniform",
        classes=10,
        norm=Norm(eps=1e-8, affine="none"),
        bias=False,
    ),
    recipe=_recipe(
        Adam(weight_decay=2.5e-5),
        epochs=200,
        batch_size=128,
        schedule=Schedule(shape="linear", start=100, end=200),
    ),
    channels=(1,),
    fixed_because="its dense layer makes 7x7 maps that are doubled twice",
    deviations=(BN_MEAN,),
)

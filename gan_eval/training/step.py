"""One training step: the algorithm of Goodfellow et al. 2014, as each published recipe orders it.

Step t is a function of (weights, Adam's moments, seed, t): its images, labels and z are derived
from the seed and t, so that a run stopped anywhere continues bit for bit on the CPU, and every
process of a data-parallel run draws the same z and keeps its own share.
"""

from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, distributed

from gan_eval.images import to_float
from gan_eval.models.dcgan import Discriminator, Generator, initialise
from gan_eval.models.recipe import Adam
from gan_eval.models.run_config import RunConfig
from gan_eval.seeding import stream
from gan_eval.training.losses import fake_loss, generator_loss, real_loss

Watched = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """The networks and optimisers of one run, on their device, and how one step changes them."""

    config: RunConfig
    fabric: Fabric
    generator: Generator
    discriminator: Discriminator
    optimizers: dict[str, torch.optim.Adam]

    @classmethod
    def start(cls, config: RunConfig, fabric: Fabric) -> "Trainer":
        """Return the networks as initialised from the seed, with fresh optimisers."""
        g, d = Generator(config.generator), Discriminator(config.discriminator)
        initialise(g, stream(config.seed, "init", "generator"))
        initialise(d, stream(config.seed, "init", "discriminator"))
        for network in (g, d):
            fabric.to_device(network)
            if config.compile:
                network.compile()
        recipe = config.recipe
        optimizers = {
            "adam_g": _adam(g, recipe.generator),
            "adam_d": _adam(d, recipe.discriminator),
        }
        if recipe.pretrain_steps:
            optimizers["adam_d_real"] = _adam(d, recipe.discriminator)
            optimizers["adam_d_fake"] = _adam(d, recipe.discriminator)
        return cls(
            config=config, fabric=fabric, generator=g, discriminator=d, optimizers=optimizers
        )

    @property
    def networks(self) -> dict[str, Generator | Discriminator]:
        """Both networks, by the names of their files."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def step(self, step: int, pixels: Tensor, labels: Tensor | None, watch: bool) -> Watched:
        """Do one step on a mini-batch of uint8 images; return losses, and more when `watch`ed."""
        recipe = self.config.recipe
        real = to_float(pixels, self.config.generator.scale)
        real = real.contiguous(memory_format=torch.channels_last)
        if not self.config.generator.classes:
            labels = None
        self._set_rates(step)
        if step < recipe.pretrain_steps:
            return self._pretrain_discriminator(step, real, labels)

        # Joint recipes train both networks on this mini-batch, alternating ones a network each.
        number = step - recipe.pretrain_steps
        alternate = recipe.updates == "alternate"
        if alternate and number % 2 == 0:
            return self._train_generator(step, None, labels, len(real), watch)
        reuse = not alternate and recipe.latent == "same"
        with torch.set_grad_enabled(reuse):
            fake = self._generate(self._latent(step, 0, len(real)), labels)
        watched = self._train_discriminator(real, fake, labels, watch)
        if not alternate:
            watched |= self._train_generator(
                step, fake if reuse else None, labels, len(real), watch
            )
        return watched

    def _train_discriminator(
        self, real: Tensor, fake: Tensor, labels: Tensor | None, watch: bool
    ) -> Watched:
        # Lower D's loss on real and on generated images, in separate batches.
        real_logits = self._judge(real, labels)
        fake_logits = self._judge(fake.detach(), labels)
        loss = real_loss(real_logits, self.config.recipe.real_target) + fake_loss(fake_logits)
        watched = {"d_loss": loss.detach()}
        norm = self._descend(loss, self.discriminator, "adam_d", watch)
        if watch:
            watched |= {
                "d_grad_norm": norm,
                "d_real_accuracy": (real_logits > 0).float().mean(),
                "d_fake_accuracy": (fake_logits < 0).float().mean(),
                "diversity": _diversity(fake.detach()) / _diversity(real),
            }
        return watched

    def _train_generator(
        self, step: int, fake: Tensor | None, labels: Tensor | None, n: int, watch: bool
    ) -> Watched:
        # Raise D's verdict on generated images; D's own weights need no gradient here.
        recipe = self.config.recipe
        watched: Watched = {}
        _learn(self.optimizers["adam_d"], False)
        for update in range(recipe.generator_updates):
            if fake is None or update > 0:
                fresh = update + 1 if recipe.latent == "fresh" else 0
                fake = self._generate(self._latent(step, fresh, n), labels)
            loss = generator_loss(self._judge(fake, labels))
            watched = {"g_loss": loss.detach()}
            norm = self._descend(loss, self.generator, "adam_g", watch)
            if watch:
                watched["g_grad_norm"] = norm
        _learn(self.optimizers["adam_d"], True)
        return watched

    def _pretrain_discriminator(self, step: int, real: Tensor, labels: Tensor | None) -> Watched:
        # First the loss on real images, then on generated ones, each with an Adam of its own.
        with torch.no_grad():
            fake = self._generate(self._latent(step, 0, len(real)), labels)
        loss_real = real_loss(self._judge(real, labels), self.config.recipe.real_target)
        self._descend(loss_real, self.discriminator, "adam_d_real", False)
        loss_fake = fake_loss(self._judge(fake, labels))
        self._descend(loss_fake, self.discriminator, "adam_d_fake", False)
        return {"d_loss": (loss_real + loss_fake).detach()}

    def _generate(self, z: Tensor, labels: Tensor | None) -> Tensor:
        with self.fabric.autocast():
            return self.generator(z, labels)  # type: ignore[no-any-return]

    def _judge(self, images: Tensor, labels: Tensor | None) -> Tensor:
        with self.fabric.autocast():
            return self.discriminator(images, labels)  # type: ignore[no-any-return]

    def _latent(self, step: int, draw: int, n: int) -> Tensor:
        world, rank = self.fabric.world_size, self.fabric.global_rank
        z = self.generator.draw(n * world, stream(self.config.seed, "latent", step, draw))
        return self.fabric.to_device(z[rank * n : (rank + 1) * n])

    def _descend(self, loss: Tensor, network: torch.nn.Module, adam: str, watch: bool) -> Tensor:
        """Do one Adam step down `loss`; return the gradient's norm when watched."""
        optimizer = self.optimizers[adam]
        optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        grads = [p.grad for p in network.parameters() if p.grad is not None]
        if self.fabric.world_size > 1:
            _average(grads, self.fabric.world_size)
        norm = torch.nn.utils.get_total_norm(grads) if watch else loss.detach()
        optimizer.step()
        return norm

    def _set_rates(self, step: int) -> None:
        recipe = self.config.recipe
        factor = self.config.rate_factor(step)
        rates = {"adam_g": recipe.generator.lr}
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = rates.get(name, recipe.discriminator.lr) * factor


def _adam(network: torch.nn.Module, adam: Adam) -> torch.optim.Adam:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return torch.optim.Adam(
        parameters,
        lr=adam.lr,
        betas=(adam.beta1, adam.beta2),
        weight_decay=adam.weight_decay,
        fused=parameters[0].device.type in ("cpu", "cuda"),
    )


def learned(optimizer: torch.optim.Adam) -> list[torch.nn.Parameter]:
    """Return the parameters that `optimizer` changes, in their order."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _learn(optimizer: torch.optim.Adam, wanted: bool) -> None:
    """Say whether the parameters of `optimizer` need gradients."""
    for parameter in learned(optimizer):
        parameter.requires_grad_(wanted)


def _average(grads: list[Tensor], world: int) -> None:
    """Replace each gradient by its mean over the processes, in one exchange.

    Not by Fabric, which has all of them wait for each other first: that empties a GPU's queue.
    """
    mean = torch.cat([grad.flatten() for grad in grads])
    distributed.all_reduce(mean)
    mean /= world
    for grad, part in zip(grads, torch.split(mean, [grad.numel() for grad in grads]), strict=True):
        grad.copy_(part.view(grad.shape))


def _diversity(images: Tensor) -> Tensor:
    """Return half the mean squared distance between the images of a batch: their total variance."""
    return images.float().var(0).sum()

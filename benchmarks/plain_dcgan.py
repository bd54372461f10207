"""The DCGAN of PyTorch's examples (64x64) as tutorials train it: what `speed_train` is beside.

Eager float32, NCHW, unfused Adam, D run on real, fake and fake again, gradients to all weights in
both steps.
"""

import itertools

import torch
from torch import Tensor, nn


class Plain:
    """The tutorial's loop: networks as `nn.Sequential`, one Adam each, three backward passes."""

    def __init__(self, batch_size: int, device: torch.device) -> None:
        self.device, self.batch_size = device, batch_size
        self.generator = nn.Sequential(*self._up()).to(device)
        self.discriminator = nn.Sequential(*self._down()).to(device)
        self.adam_g = torch.optim.Adam(self.generator.parameters(), 2e-4, (0.5, 0.999))
        self.adam_d = torch.optim.Adam(self.discriminator.parameters(), 2e-4, (0.5, 0.999))
        self.loss = nn.BCEWithLogitsLoss()
        self.one = torch.ones(batch_size, device=device)
        self.zero = torch.zeros(batch_size, device=device)

    def step(self, pixels: Tensor) -> None:
        real = pixels.float() / 127.5 - 1
        self.discriminator.zero_grad()
        self.loss(self.discriminator(real).view(-1), self.one).backward()
        fake = self.generator(torch.randn(self.batch_size, 100, 1, 1, device=self.device))
        self.loss(self.discriminator(fake.detach()).view(-1), self.zero).backward()
        self.adam_d.step()
        self.generator.zero_grad()
        self.loss(self.discriminator(fake).view(-1), self.one).backward()
        self.adam_g.step()

    @staticmethod
    def _up() -> list[nn.Module]:
        layers: list[nn.Module] = []
        widths = (100, 512, 256, 128, 64, 3)
        for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            stride, padding = (2, 1) if i else (1, 0)
            layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(True)] if i < 4 else [nn.Tanh()]
        return layers

    @staticmethod
    def _down() -> list[nn.Module]:
        layers: list[nn.Module] = []
        widths = (3, 64, 128, 256, 512, 1)
        for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            stride, padding = (2, 1) if i < 4 else (1, 0)
            layers.append(nn.Conv2d(inputs, outputs, 4, stride, padding, bias=False))
            layers += [nn.BatchNorm2d(outputs)] if 0 < i < 4 else []
            layers += [nn.LeakyReLU(0.2, True)] if i < 4 else []
        return layers

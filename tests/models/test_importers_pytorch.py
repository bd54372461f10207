"""The example's state dicts become runs that compute what it computed; other files are refused."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from gan_eval.models.importers import import_pytorch_examples
from gan_eval.seeding import stream

# pytorch/examples, dcgan/main.py.


def net_g(nz: int, nc: int, ngf: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, maps in ((nz, ngf * 8), (ngf * 8, ngf * 4), (ngf * 4, ngf * 2), (ngf * 2, ngf)):
        stride, pad = (2, 1) if layers else (1, 0)
        layers += [nn.ConvTranspose2d(before, maps, 4, stride, pad, bias=False)]
        layers += [nn.BatchNorm2d(maps), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False), nn.Tanh())


def net_d(nc: int, ndf: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(nc, ndf, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for factor in (1, 2, 4):
        layers += [nn.Conv2d(ndf * factor, ndf * factor * 2, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(ndf * factor * 2), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(ndf * 8, 1, 4, 1, 0, bias=False), nn.Sigmoid())


def state(network: nn.Sequential, prefix: str = "") -> dict[str, torch.Tensor]:
    return {f"{prefix}main.{name}": tensor for name, tensor in network.state_dict().items()}


def trained(nz: int = 7, nc: int = 1, ngf: int = 8, ndf: int = 4) -> tuple:
    """Return the example's networks, with running statistics of a few batches, in `eval` mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        g, d = net_g(nz, nc, ngf), net_d(nc, ndf)
        for _ in range(3):
            d(g(torch.randn(4, nz, 1, 1)).detach())
    return g.eval(), d.eval()


@pytest.mark.parametrize("sizes", [(100, 3, 64, 64), (7, 1, 8, 4)])
@torch.no_grad()
def test_pytorch_examples_compute_the_same(tmp_path, sizes):
    g, d = trained(*sizes)
    torch.save(state(g), tmp_path / "netG_epoch_24.pth")
    torch.save(state(d), tmp_path / "netD_epoch_24.pth")
    files = tmp_path / "netG_epoch_24.pth", tmp_path / "netD_epoch_24.pth"
    run = import_pytorch_examples(*files, tmp_path / "run")
    z = torch.randn(2, sizes[0], generator=stream(0, "z"))
    images = g(z[:, :, None, None])
    torch.testing.assert_close(run.load_generator()(z), images, rtol=1e-4, atol=1e-5)
    real = torch.sigmoid(run.load_discriminator()(images))
    torch.testing.assert_close(real, d(images).flatten(), rtol=1e-4, atol=1e-5)
    config = run.config()
    assert (config.preset, config.imported.epoch) == ("pytorch-examples", 24)
    assert config.generator.channels == config.discriminator.channels == sizes[1]
    changed = [text for text in config.deviations if "instead of" in text]
    assert changed == ([] if sizes[0] == 100 else [
        "channels 1 instead of 3", "latent_dim 7 instead of 100", "ngf 8 instead of 64",
        "ndf 4 instead of 64",
    ])  # fmt: skip


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path]:
    g, d = trained()
    torch.save(state(g), tmp_path / "g.pth")
    torch.save(state(d), tmp_path / "d.pth")
    return tmp_path / "g.pth", tmp_path / "d.pth"


def test_names_of_parallel_and_of_old_files_are_read(tmp_path, files):
    plain = import_pytorch_examples(*files, tmp_path / "plain")
    assert plain.config().imported.epoch is None
    g = {name: t for name, t in state(trained()[0], "module.").items() if "batches" not in name}
    torch.save(g, files[0], _use_new_zipfile_serialization=False)
    other = import_pytorch_examples(*files, tmp_path / "other")
    z = torch.randn(2, 7, generator=stream(0, "z"))
    with torch.no_grad():
        assert torch.equal(plain.load_generator()(z), other.load_generator()(z))


def changed(**tensors: torch.Tensor | None) -> Callable[[Path], None]:
    """Return what replaces tensors of a generator's file, or removes them."""

    def damage(path: Path) -> None:
        values = {**state(trained()[0]), **{n.replace("_", "."): t for n, t in tensors.items()}}
        torch.save({name: t for name, t in values.items() if t is not None}, path)

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "g.pth must exist. Found none"),
        (lambda path: torch.save(state(trained()[1]), path),
         r"must hold the tensors of a generator.*'main\..*pass a netG_epoch_N.pth"),
        (changed(main_0_weight=None), "'main.0.weight' is missing"),
        (changed(extra=torch.zeros(1)), "'extra' is not one of them"),
        (changed(main_3_weight=torch.zeros(64, 30, 4, 4)),
         r"'main.3.weight' in .* must have shape \(64, 32, 4, 4\). Got \(64, 30, 4, 4\)"),
        (changed(main_12_weight=torch.zeros(())), "'main.12.weight' in .* must have shape"),
        (changed(main_12_weight=torch.zeros(8, 0, 4, 4)), "'main.12.weight' in .* must have shape"),
        (changed(main_12_weight=torch.zeros(8, 4, 4, 4)), "must have 1 or 3 channels. Got 4"),
        (changed(main_12_weight=torch.zeros(8, 3, 4, 4)), "'main.0.weight' in .*d.pth must have"),
        (changed(main_0_weight=torch.full((7, 64, 4, 4), torch.inf)), "must hold finite numbers"),
        (changed(main_0_weight=torch.zeros(7, 64, 4, 4).to_sparse()), "weights file .* must"),
        (lambda path: torch.save({"state": state(trained()[0])}, path), "'state': dict"),
        (lambda path: torch.save([torch.zeros(1)], path), r"Got others \(list\)"),
        (lambda path: torch.save(trained()[0], path), "be a whole state dict, without code"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "a whole state dict"),
        (lambda path: path.write_bytes(b""), "be a whole state dict, without code"),
    ],
    ids=[
        "missing", "swapped", "without", "surplus", "shape", "scalar", "empty", "channels",
        "disagree", "infinite", "sparse", "nested", "list", "module", "cut", "nothing",
    ],
)  # fmt: skip
def test_what_pytorch_examples_refuses(refused, files, damage, message):
    damage(files[0])
    refused(lambda out: import_pytorch_examples(*files, out), message)


def test_pickles_are_refused_and_nothing_of_them_is_run(refused, files, trap):
    for path in files:
        whole = path.read_bytes()
        torch.save({"main.0.weight": trap}, path)
        refused(
            lambda out: import_pytorch_examples(*files, out),
            "be a whole state dict, without code",
        )
        path.write_bytes(pickle.dumps(trap))
        refused(
            lambda out: import_pytorch_examples(*files, out),
            "be a whole state dict, without code",
        )
        path.write_bytes(whole)
    pickle.loads(pickle.dumps(trap))
    assert trap.path.exists()  # it would have sprung

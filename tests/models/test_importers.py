"""The DCGAN authors' arrays become runs that compute what their Theano computed, or are refused."""

import hashlib
import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from torch import nn

import gan_eval
from gan_eval.data import open_images
from gan_eval.errors import InputError
from gan_eval.images import to_float
from gan_eval.models.dcgan import Discriminator, Generator
from gan_eval.models.importers import import_newmu
from gan_eval.models.run_config import RunConfig
from gan_eval.models.runs import Run
from gan_eval.models.statistics import batch_statistics
from gan_eval.seeding import stream

Arrays = list[np.ndarray]

# The arrays as released, in their order; BN has two vectors after each kernel.
SVHN_G = [(100, 4096), 4096, (256, 128, 5, 5), 128, (128, 64, 5, 5), 64, (64, 3, 5, 5)]
SVHN_D = [(64, 3, 5, 5), (128, 64, 5, 5), 128, (256, 128, 5, 5), 256, (4096, 1)]
IMAGENET_G = [
    (256, 8192), 8192, (512, 512, 3, 3), 512, (512, 256, 3, 3), 256, (256, 256, 3, 3), 256,
    (256, 128, 3, 3), 128, (128, 128, 3, 3), 128, (128, 3, 3, 3),
]  # fmt: skip
IMAGENET_D = [
    (128, 3, 3, 3), (128, 128, 3, 3), 128, (256, 128, 3, 3), 256, (256, 256, 3, 3), 256,
    (512, 256, 3, 3), 512, (512, 512, 3, 3), 512, (8192, 1),
]  # fmt: skip
STRIDES = {"svhn": (2, 2, 2), "imagenet": (2, 1, 2, 1, 2, 1)}


def made(shapes: list, seed: int = 0) -> Arrays:
    """Return random arrays: kernels N(0, .02), gains near 1, biases near 0."""
    draw, arrays = np.random.default_rng(seed), []
    for shape in shapes:
        if isinstance(shape, tuple):
            arrays.append(draw.normal(0, 0.02, shape))
        else:
            arrays += [draw.normal(1, 0.1, shape), draw.normal(0, 0.1, shape)]
    return [array.astype(np.float32) for array in arrays]


def release(folder: Path, epoch: int, gen: Arrays = (), discrim: Arrays = ()) -> Path:
    """Write arrays as the authors' joblib did; the pickles are folders, which cannot be opened."""
    folder.mkdir(exist_ok=True)
    for name, arrays in (("gen", gen), ("discrim", discrim)):
        for number, array in enumerate(arrays, 1):
            np.save(folder / f"{epoch}_{name}_params.jl_{number:02d}.npy", array)
        if len(arrays):
            (folder / f"{epoch}_{name}_params.jl").mkdir()
    return folder


# The authors' networks, written once more from the definition of convolution:
# y[i, j] = sum over a, b of w[a, b] x[i - a, j - b], with zeros outside.


def span(start: int, count: int, stride: int) -> slice:
    return slice(start, start + stride * (count - 1) + 1, stride)


def conv(x: np.ndarray, w: np.ndarray, stride: int) -> np.ndarray:
    """Theano's `dnn_conv(x, w, subsample=stride, border_mode=k // 2)`; w is (out, in, k, k)."""
    k, pad = w.shape[-1], w.shape[-1] // 2
    m = (x.shape[-1] + 2 * pad - k) // stride + 1
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    y = np.zeros((len(x), len(w), m, m))
    for a in range(k):
        for b in range(k):
            seen = x[:, :, span(k - 1 - a, m, stride), span(k - 1 - b, m, stride)]
            y += np.einsum("nchw,oc->nohw", seen, w[:, :, a, b], optimize=True)
    return y


def deconv(x: np.ndarray, w: np.ndarray, stride: int) -> np.ndarray:
    """The authors' `deconv`, the gradient of `conv` to its input; w is (in, out, k, k)."""
    k, pad, m = w.shape[-1], w.shape[-1] // 2, x.shape[-1]
    side = stride * m
    y = np.zeros((len(x), w.shape[1], side + 2 * pad, side + 2 * pad))
    for a in range(k):
        for b in range(k):
            added = np.einsum("nchw,co->nohw", x, w[:, :, a, b], optimize=True)
            y[:, :, span(k - 1 - a, m, stride), span(k - 1 - b, m, stride)] += added
    return y[:, :, pad : pad + side, pad : pad + side]


def batchnorm(x: np.ndarray, g: np.ndarray, b: np.ndarray) -> np.ndarray:
    over = (0,) if x.ndim == 2 else (0, 2, 3)
    x = (x - x.mean(over, keepdims=True)) / np.sqrt(x.var(over, keepdims=True) + 1e-8)
    return x * g + b if x.ndim == 2 else x * g[:, None, None] + b[:, None, None]


def gen(z: np.ndarray, arrays: Arrays, strides: tuple[int, ...]) -> np.ndarray:
    w, g, b, *rest = arrays
    h = np.maximum(batchnorm(z @ w, g, b), 0).reshape(len(z), -1, 4, 4)
    for number, stride in enumerate(strides[:-1]):
        w, g, b = rest[3 * number : 3 * number + 3]
        h = np.maximum(batchnorm(deconv(h, w, stride), g, b), 0)
    return np.tanh(deconv(h, rest[-1], strides[-1]))


def discrim(x: np.ndarray, arrays: Arrays, strides: tuple[int, ...]) -> np.ndarray:
    """Return the logit, what the authors' sigmoid is taken of."""
    first, *rest = arrays

    def lrelu(h: np.ndarray) -> np.ndarray:
        return np.maximum(h, 0.2 * h)

    h = lrelu(conv(x, first, strides[0]))
    for number, stride in enumerate(strides[1:]):
        w, g, b = rest[3 * number : 3 * number + 3]
        h = lrelu(batchnorm(conv(h, w, stride), g, b))
    return (h.reshape(len(h), -1) @ rest[-1]).ravel()


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def half_turn(arrays: Arrays) -> Arrays:
    """Return the arrays with every kernel flipped: what they would be if Theano correlated."""
    return [array[:, :, ::-1, ::-1] if array.ndim == 4 else array for array in arrays]


@torch.no_grad()
def by_batch(network: nn.Module, inputs: np.ndarray) -> np.ndarray:
    """Return what `network` computes with the batch's statistics, as the authors' functions do."""
    return network.train()(torch.from_numpy(inputs)).numpy()


def close(one: np.ndarray, two: np.ndarray) -> bool:
    return bool(np.abs(one - two).max() < 1e-3 * np.abs(two).max())


def test_the_reference_convolves_as_scipy_does():
    x, w = noise(1, 1, 7, 7), noise(1, 1, 5, 5, seed=1)
    whole = convolve2d(x[0, 0], w[0, 0], mode="same")
    np.testing.assert_allclose(conv(x, w, 1)[0, 0], whole, rtol=1e-5)
    np.testing.assert_allclose(conv(x, w, 2)[0, 0], whole[::2, ::2], rtol=1e-5)
    # The gradient: <conv(x), y> = <x, deconv(y)> for every x and y.
    x, w, y = noise(1, 2, 8, 8), noise(3, 2, 5, 5, seed=1), noise(1, 3, 4, 4, seed=2)
    assert np.isclose((conv(x, w, 2) * y).sum(), (x * deconv(y, w, 2)).sum(), rtol=1e-4)


@pytest.fixture(scope="module")
def svhn(tmp_path_factory) -> tuple[Run, Arrays, Arrays]:
    """A run imported from made arrays of the SVHN shapes, and those arrays."""
    folder = tmp_path_factory.mktemp("svhn")
    g, d = made(SVHN_G), made(SVHN_D, seed=1)
    return import_newmu(release(folder / "files", 200, g, d), folder / "run", batches=2), g, d


def test_svhn_arrays_compute_what_theano_computed(svhn):
    run, g, d = svhn
    assert run.config().preset == "radford2015-svhn"
    z, images = noise(4, 100), noise(4, 3, 32, 32)
    assert close(by_batch(run.load_generator(), z), gen(z, g, STRIDES["svhn"]))
    strides = STRIDES["svhn"]
    assert close(by_batch(run.load_discriminator(), images), discrim(images, d, strides))


def test_without_the_flip_they_would_not(svhn):
    run, g, d = svhn
    z, images = noise(4, 100), noise(4, 3, 32, 32)
    strides = STRIDES["svhn"]
    assert not close(by_batch(run.load_generator(), z), gen(z, half_turn(g), strides))
    found = by_batch(run.load_discriminator(), images)
    assert not close(found, discrim(images, half_turn(d), strides))


def test_imagenet_discriminator_computes_what_theano_computed(tmp_path):
    arrays = made(IMAGENET_D)
    run = import_newmu(release(tmp_path / "files", 30, discrim=arrays), tmp_path / "run")
    config = run.config()
    assert config.preset == "radford2015-imagenet32"
    assert config.discriminator.feature_width() == 28672
    images = noise(2, 3, 32, 32)
    expected = discrim(images, arrays, STRIDES["imagenet"][::-1])
    assert close(by_batch(run.load_discriminator(), images), expected)


def test_imagenet_generator_computes_what_theano_computed(tmp_path):
    arrays = made(IMAGENET_G)
    run = import_newmu(release(tmp_path / "files", 30, arrays), tmp_path / "run", batches=1)
    assert run.config().preset == "radford2015-imagenet32"
    z = noise(2, 256)
    assert close(by_batch(run.load_generator(), z), gen(z, arrays, STRIDES["imagenet"]))


def test_the_paper_s_faces_are_recognised_too(tmp_path):
    shapes = [(128, 3, 5, 5)]
    shapes += [(256, 128, 5, 5), 256, (512, 256, 5, 5), 512, (1024, 512, 5, 5), 1024, (16384, 1)]
    run = import_newmu(release(tmp_path / "files", 25, discrim=made(shapes)), tmp_path / "run")
    assert run.config().preset == "radford2015"


def running(network: Generator | Discriminator) -> torch.Tensor:
    norms = [block.norm for block in network.blocks if block.norm is not None]
    rows = [torch.stack([norm.running_mean, norm.running_var]) for norm in norms]
    return torch.cat(rows, 1).double()


@torch.no_grad()
def test_statistics_are_those_of_the_generator_s_own_draws(svhn):
    run, *_ = svhn
    g, d = run.load_generator(), run.load_discriminator()
    for part, network in (("generator", g), ("discriminator", d)):
        source = stream(0, "import", part)
        batches = [g.draw(128, source) for _ in range(2)]
        inputs = batches if network is g else [g(z) for z in batches]
        means = sum(batch_statistics(network, batch) for batch in inputs) / 2
        torch.testing.assert_close(running(network), means, rtol=1e-4, atol=1e-6)


def test_the_run_says_what_it_is(svhn):
    run, *_ = svhn
    config = run.config()
    assert RunConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert (config.data, config.steps, config.save_epochs) == (None, 0, ())
    assert (config.imported.format, config.imported.epoch) == ("newmu", 200)
    assert len(config.imported.generator) == 10
    assert len(config.imported.discriminator) == 8
    file = run.folder.parent / "files" / "200_gen_params.jl_01.npy"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert config.imported.generator[file.name] == digest
    assert any("not carried out here" in text for text in config.deviations)
    assert any("D's batch-norm" in text and "G's samples" in text for text in config.deviations)
    assert sorted(os.listdir(run.folder)) == [
        "config.json", "discriminator.safetensors", "generator.safetensors"
    ]  # fmt: skip


def test_a_config_has_either_data_or_an_import(svhn, tiny):
    config, _ = tiny()
    with pytest.raises(InputError, match="either data or imported"):
        replace(config, data=None)
    with pytest.raises(InputError, match="either data or imported"):
        replace(config, imported=svhn[0].config().imported)


def test_runs_of_earlier_versions_are_read(tiny, folder):
    config, _ = tiny()
    values = config.to_json()
    del values["imported"]
    assert RunConfig.from_json(values) == config


def test_an_imported_run_has_no_epochs(svhn):
    with pytest.raises(InputError, match=r"epoch is for runs trained here.*Got 3; leave it out"):
        svhn[0].load_generator(3)


def test_what_is_not_there_is_said_when_it_is_loaded(tmp_path):
    judge = import_newmu(release(tmp_path / "d", 1, discrim=made(SVHN_D)), tmp_path / "judge")
    assert judge.load_discriminator().blocks[1].norm.running_var.unique().tolist() == [1.0]
    assert any("mean 0 and variance 1" in text for text in judge.config().deviations)
    with pytest.raises(InputError, match=r"judge has no generator: .* the discriminator only"):
        judge.load_generator()
    maker = import_newmu(release(tmp_path / "g", 1, made(SVHN_G)), tmp_path / "maker", batches=1)
    assert not any("D's" in text for text in maker.config().deviations)
    maker.load_generator()
    with pytest.raises(InputError, match=r"maker has no discriminator: .* the generator only"):
        maker.load_discriminator()


def test_the_newest_epoch_is_taken(tmp_path):
    folder = tmp_path / "files"
    for epoch in (9, 10, 100):
        release(folder, epoch, discrim=made(SVHN_D, seed=epoch))
    run = import_newmu(folder, tmp_path / "newest")
    assert run.config().imported.epoch == 100
    logit = run.load_discriminator().blocks[-1].weight.detach().numpy()
    np.testing.assert_array_equal(logit, made(SVHN_D, seed=100)[-1].T)
    release(folder, 5, made(SVHN_G), made(SVHN_D)[:0])
    assert import_newmu(folder, tmp_path / "one").config().imported.epoch == 100
    release(tmp_path / "both", 20, made(SVHN_G), made(SVHN_D))
    release(tmp_path / "both", 30, discrim=made(SVHN_D))
    run = import_newmu(tmp_path / "both", tmp_path / "two", batches=1)
    assert run.config().imported.epoch == 20


ARRAY = "200_discrim_params.jl_04.npy"
LAST = "200_discrim_params.jl_08.npy"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, r"array 04 of the discriminator must have shape \(128,\).* Got none"),
        (lambda path: np.save(path, np.zeros(64, "f4")), r"must have shape \(128,\).* Got \(64,\)"),
        (lambda path: np.save(path.with_name(LAST), np.zeros((1, 4096), "f4")),
         r"array 08 of the discriminator must have shape \(4096, 1\), as in radford2015-svhn"),
        (lambda path: np.save(path.with_name(LAST.replace("08", "99")), np.zeros(3, "f4")),
         r"array 99 of the discriminator must not be there, as in radford2015-svhn. Got \(3,\)"),
        (lambda path: np.save(path, np.full(128, np.nan, "f4")), "must hold finite numbers"),
        (lambda path: np.save(path, np.zeros(128, int)), "floating-point numbers. Got int64"),
        (lambda path: path.write_bytes(path.read_bytes()[:-4]), "must be a whole .npy file"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "must be a whole .npy file"),
        (lambda path: path.write_bytes(b""), "must be a whole .npy file"),
        (lambda path: path.write_bytes(os.urandom(600)), "must be a whole .npy file"),
    ],
    ids=[
        "missing", "shape", "transposed", "surplus", "nan", "integers", "cut", "header", "empty",
        "random",
    ],
)  # fmt: skip
def test_what_newmu_refuses(tmp_path, refused, damage, message):
    folder = release(tmp_path / "files", 200, discrim=made(SVHN_D))
    damage(folder / ARRAY)
    refused(lambda out: import_newmu(folder, out), message)


def test_pickles_among_the_arrays_are_not_read(tmp_path, refused, trap):
    folder = release(tmp_path / "files", 200, discrim=made(SVHN_D))
    np.save(folder / ARRAY, np.array([trap], dtype=object), allow_pickle=True)
    refused(lambda out: import_newmu(folder, out), "must be a whole .npy file")
    (folder / ARRAY).write_bytes(pickle.dumps(trap))
    refused(lambda out: import_newmu(folder, out), "must be a whole .npy file")


def test_what_is_no_file_is_not_waited_for(tmp_path, refused):
    folder = release(tmp_path / "piped", 1)
    (folder / "1_gen_params.jl_01.npy").symlink_to("/dev/null")
    refused(lambda out: import_newmu(folder, out), "must hold files such as .* Found none")


def test_folders_without_arrays_are_refused(tmp_path, refused):
    refused(lambda out: import_newmu(tmp_path, out), "Found none; check the path")
    refused(lambda out: import_newmu(tmp_path / "missing", out), "Found none; check the path")


def test_taken_folders_are_left_alone(tmp_path, refused, svhn):
    files = svhn[0].folder.parent / "files"
    refused(lambda out: import_newmu(files, out, batches=0), "batches must be at least 1. Got 0")
    before = (svhn[0].folder / "config.json").read_bytes()
    with pytest.raises(InputError, match="must not hold a run already"):
        import_newmu(files, svhn[0].folder)
    assert (svhn[0].folder / "config.json").read_bytes() == before
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="must be a new or empty folder"):
        import_newmu(files, tmp_path)


def test_a_disk_that_fills_up_leaves_no_run(tmp_path, monkeypatch):
    folder, out = release(tmp_path / "files", 1, discrim=made(SVHN_D)), tmp_path / "out"

    def full(run: Run, config: RunConfig) -> None:
        # What makes the folder a run comes last, when all else is there.
        assert run.discriminator.exists()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Run, "write_config", full)
        with pytest.raises(OSError, match="No space"):
            import_newmu(folder, out)
    assert list(out.iterdir()) == []
    assert import_newmu(folder, out).exists


# The authors' released SVHN networks, where they are at hand.

RELEASED = Path(gan_eval.__file__).parents[2] / "shared" / "weights" / "newmu-svhn"


@pytest.fixture(scope="module")
def authors(tmp_path_factory) -> tuple[Run, Run]:
    """The released networks as runs: imported, and imported as if Theano correlated."""
    if not RELEASED.is_dir():
        pytest.skip(f"{RELEASED} is not here")
    folder = tmp_path_factory.mktemp("authors")
    (folder / "turned").mkdir()
    for path in RELEASED.glob("*.npy"):
        np.save(folder / "turned" / path.name, half_turn([np.load(path)])[0])
    turned = import_newmu(folder / "turned", folder / "wrong", batches=4)
    return import_newmu(RELEASED, folder / "run", batches=4), turned


def samples(run: Run) -> torch.Tensor:
    generator = run.load_generator()
    with torch.no_grad():
        return generator(generator.draw(256, stream(0, "z")))


def test_the_authors_samples_are_as_varied_at_the_border_as_in_the_middle(authors):
    def border(images: torch.Tensor) -> float:
        spread = images.std(0).mean(0)
        return float(spread[[0, -1]].mean() / spread[12:20, 12:20].mean())

    right, wrong = (border(samples(run)) for run in authors)
    # Street numbers have neighbours; kernels that are not flipped smear to grey at the border.
    assert right > 0.9
    assert wrong < 0.6


def test_the_authors_discriminator_knows_its_generator(authors):
    right, wrong = (by_batch(run.load_discriminator(), samples(run).numpy()) for run in authors)
    assert (right < 0).mean() > 0.9
    assert (wrong < 0).mean() < 0.1


def test_the_authors_discriminator_takes_street_numbers_for_real(authors):
    root = os.environ.get("GAN_EVAL_DATA")
    if not (root and Path(root, "svhn10k.npz").is_file()):
        pytest.skip("svhn10k is not here")
    pixels = open_images("svhn10k", root=Path(root)).pixels[:256]
    real = by_batch(authors[0].load_discriminator(), to_float(pixels, "tanh").numpy())
    fake = by_batch(authors[0].load_discriminator(), samples(authors[0]).numpy())
    assert (real[:, None] > fake[None]).mean() > 0.9

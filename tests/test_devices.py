"""Where networks compute, and how precisely."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_eval import devices
from gan_eval.data import Images
from gan_eval.devices import (
    available_memory,
    make_fabric,
    memory_for_images,
    take_own_gpu,
    with_float64,
)
from gan_eval.errors import InputError
from gan_eval.experiments.responses import Responses
from gan_eval.models.dcgan import Discriminator, Generator, initialise
from gan_eval.models.run_config import RunConfig
from gan_eval.models.runs import Run
from gan_eval.models.sampling import generate
from gan_eval.precision import (
    float32_products,
    full_float32,
    resolve_precision,
    tried_convolutions,
)
from gan_eval.seeding import stream
from gan_eval.training.job import Job, carry_out

Tiny = Callable[..., tuple[RunConfig, Images]]


def test_apples_devices_have_no_float64():
    assert [with_float64(device) for device in ("mps", "cuda", "cpu")] == ["cpu", "cuda", "cpu"]


def test_processes_share_main_memory_and_have_a_gpu_each(monkeypatch: pytest.MonkeyPatch):
    assert memory_for_images("cpu") is None
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    free = {"cpu": 60, "cuda": 80}
    monkeypatch.setattr(devices, "available_memory", lambda device="cpu": free[device])
    assert memory_for_images("cuda") == 30
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert memory_for_images("cuda") == 15
    take_own_gpu("cpu")
    assert taken == []
    take_own_gpu("auto")
    assert taken == [1]


@pytest.mark.parametrize(
    ("device", "told"),
    [
        ("cuda", r"at most its GPUs, 2\. Got 3; pass a smaller --nproc-per-node, or --device cpu"),
        ("mps", r"cpu or cuda for several processes\. Got mps; pass --device cpu"),
    ],
)
def test_processes_that_a_device_has_no_room_for_are_refused(
    device: str, told: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(getattr(torch.backends if device == "mps" else torch, device),
                        "is_available", lambda: True)  # fmt: skip
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "3")
    with pytest.raises(InputError, match=told):
        make_fabric(device)


def test_files_that_were_read_are_no_memory_in_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(devices, "_GROUP", tmp_path)
    monkeypatch.setattr(devices, "_free", lambda: 1000)
    assert available_memory() == 1000  # no such limits here
    (tmp_path / "memory.max").write_text("100\n")
    (tmp_path / "memory.current").write_text("95\n")
    (tmp_path / "memory.stat").write_text("anon 15\ninactive_file 60\nactive_file 20\n")
    assert available_memory() == 85
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory() == 1000


def test_the_precision_of_products_is_put_back_whatever_threads_do():
    inside = []

    def work(number: int) -> None:
        for _ in range(200):
            with float32_products("highest"), float32_products("medium"):
                inside.append(torch.get_float32_matmul_precision())

    try:
        for before in ("high", "highest"):
            torch.set_float32_matmul_precision(before)
            with float32_products("highest"):
                assert torch.get_float32_matmul_precision() == "highest"
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(work, range(4)))
            assert torch.get_float32_matmul_precision() == before
    finally:
        torch.set_float32_matmul_precision("highest")
    assert set(inside) == {"medium"}


@pytest.fixture
def unset() -> Iterator[None]:
    """Put torch's settings back as they are when it is imported."""
    yield
    torch.backends.fp32_precision = "none"
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("highest")


@pytest.mark.usefixtures("unset")
@pytest.mark.parametrize(
    "owner", ["", "cudnn", "cudnn.conv", "cudnn.rnn", "cuda.matmul", "mkldnn", "mkldnn.matmul"]
)
@pytest.mark.parametrize("value", ["tf32", "ieee"])
def test_torchs_newer_settings_are_obeyed_and_put_back(owner: str, value: str):
    of = attrgetter(owner)(torch.backends) if owner else torch.backends
    of.fp32_precision = value
    known = ("cudnn.conv", "cudnn.rnn", "cuda.matmul", "mkldnn.matmul")
    before = [attrgetter(name)(torch.backends).fp32_precision for name in known]
    with full_float32():
        within = {attrgetter(name)(torch.backends).fp32_precision for name in known}
        torch.ones(3, 3) @ torch.ones(3, 3)
    assert within == {"ieee"}
    assert [attrgetter(name)(torch.backends).fp32_precision for name in known] == before


@pytest.mark.usefixtures("unset")
def test_what_followed_a_setting_above_it_follows_it_still():
    torch.backends.fp32_precision = "tf32"
    with full_float32(), float32_products("medium"):
        pass
    torch.backends.fp32_precision = "ieee"
    backends: Any = torch.backends
    assert backends.cuda.matmul.fp32_precision == backends.mkldnn.matmul.fp32_precision == "ieee"


def test_convolutions_stay_deterministic_where_they_were_asked_to(monkeypatch: pytest.MonkeyPatch):
    cudnn = torch.backends.cudnn
    for name in ("deterministic", "benchmark"):
        monkeypatch.setattr(cudnn, name, True)
    with full_float32():
        assert (cudnn.deterministic, cudnn.benchmark) == (True, True)


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_training_tries_convolutions_unless_they_must_be_deterministic(
    deterministic: bool, monkeypatch: pytest.MonkeyPatch
):
    cudnn = torch.backends.cudnn
    monkeypatch.setattr(cudnn, "deterministic", deterministic)
    with tried_convolutions(True):
        assert cudnn.benchmark is not deterministic
        with tried_convolutions(False):  # while something is measured
            assert cudnn.benchmark is False
        assert cudnn.benchmark is not deterministic
    assert cudnn.benchmark is False


def test_a_precision_that_is_none_is_named():
    assert (resolve_precision("bf16", "cpu"), resolve_precision("32", "cpu")) == ("bf16", "32")
    with pytest.raises(InputError, match=r"precision must be auto, 32 or bf16\. Got 'fp16'\."):
        resolve_precision("fp16", "cpu")


class TestFullPrecisionIsNotAGpusTf32:
    """On a CPU only the flag can be looked at, when convolutions are computed."""

    @pytest.fixture
    def seen(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[str, bool]]]:
        found: set[tuple[str, bool]] = set()

        def look(owner: Any, name: str) -> None:
            before = getattr(owner, name)

            def looked(*args: Any, **options: Any) -> Any:
                found.add((name, torch.backends.cudnn.allow_tf32))
                return before(*args, **options)

            monkeypatch.setattr(owner, name, looked)

        look(Generator, "forward")
        look(Discriminator, "activations")
        look(torch.autograd, "grad")
        look(torch.Tensor, "backward")
        yield found
        assert torch.backends.cudnn.allow_tf32

    def test_samples(self, seen: set[tuple[str, bool]], tiny: Tiny):
        config, _ = tiny()
        network = Generator(config.generator).eval()
        initialise(network, stream(0, "init"))
        next(generate(network, 2, 0))
        assert seen == {("forward", False)}

    def test_responses_and_their_gradients(self, seen: set[tuple[str, bool]], tiny: Tiny):
        config, images = tiny()
        responses = Responses(Discriminator(config.discriminator), config.generator.scale, 1)
        responses.normalise_by([(images.take(range(4)), None)])
        responses(images.take(range(2)))
        responses.gradients(images.take(range(2)), None, torch.tensor([0, 1]))
        assert seen == {("activations", False), ("grad", False)}

    def test_training(self, seen: set[tuple[str, bool]], tiny: Tiny, tmp_path: Path):
        config, images = tiny(steps=1)
        carry_out(Job(run=Run(tmp_path / "run"), config=config, images=images))
        assert seen >= {("forward", False)}
        assert not any(rough for _, rough in seen)

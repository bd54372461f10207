"""In which precision networks and products are computed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any, Literal, TypeVar, cast, get_args

import torch

from gan_eval.errors import InputError

Precision = Literal["32", "bf16"]
_Value = TypeVar("_Value")

# How those want float32 multiplied that are at work, and what puts back how it was before them.
_float32: list[str] = []
_before = ExitStack()
_setting = Lock()


def resolve_precision(precision: str, device: str) -> Precision:
    """Return "bf16" or "32" for `precision`, where "auto" is bf16 if `device` computes in it.

    Raises:
        InputError: it is neither.
    """
    if precision == "auto":
        return "bf16" if computes_bf16(device) else "32"
    if precision not in get_args(Precision):
        raise InputError(f"precision must be auto, 32 or bf16. Got {precision!r}.")
    return cast(Precision, precision)


def computes_bf16(device: str) -> bool:
    """Return whether `device` multiplies bfloat16 in hardware."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    supported = torch.cpu.get_capabilities() if device == "cpu" else {}
    return bool(supported.get("avx512_bf16") or supported.get("amx_bf16"))


@contextmanager
def full_float32() -> Iterator[None]:
    """Let convolutions and products of float32 be that on a GPU too, and not TF32 of three digits.

    Which cuDNN takes for convolutions unless told not to, and products where the environment says
    so, as that of NVIDIA's containers does.
    """
    cudnn: Any = torch.backends.cudnn
    layers, before = (cudnn.conv, cudnn.rnn), lambda: cudnn.allow_tf32
    with float32_products("highest"), _as_before(layers, before, _allow_tf32, True):
        _allow_tf32(False)
        for each in layers:  # or what is set for all of them has its way
            each.fp32_precision = "ieee"
        yield


@contextmanager
def own_settings() -> Iterator[None]:
    """Compute as torch does when it starts, whatever a notebook has set, and put that back.

    That is its default dtype, autocast, and whether gradients are kept; beside `full_float32`.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with full_float32(), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(before)


def _allow_tf32(wanted: bool) -> None:
    torch.backends.cudnn.allow_tf32 = wanted


@contextmanager
def _as_before(
    owners: Sequence[Any],
    read: Callable[[], _Value],
    write: Callable[[_Value], None],
    plain: _Value,
) -> Iterator[None]:
    """Put back how float32 was computed: by torch's older setting, and by the newer ones of each.

    Where only the newer ones were used, reading the older is an error, and it was `plain`.
    """
    newer = [each.fp32_precision for each in owners]
    try:
        older = read()
    except RuntimeError:
        older = plain
    try:
        yield
    finally:
        write(older)
        for each, value in zip(owners, newer, strict=True):
            if each.fp32_precision != value:
                each.fp32_precision = "none"  # so that it follows what is set above it, as before
            if each.fp32_precision != value:
                each.fp32_precision = value


@contextmanager
def tried_convolutions(tried: bool) -> Iterator[None]:
    """Let cuDNN try its ways for the shapes that come, or choose by rule.

    The first is for the few shapes of a training, unless convolutions must be deterministic; the
    second for what is measured on the way, in many shapes, and shall be the same each time.
    """
    cudnn, before = torch.backends.cudnn, torch.backends.cudnn.benchmark
    cudnn.benchmark = tried and (before or not cudnn.deterministic)
    try:
        yield
    finally:
        cudnn.benchmark = before


@contextmanager
def float32_products(precision: Literal["highest", "medium"]) -> Iterator[None]:
    """Take products of float32 as they are, or rounded to bfloat16 and summed in float32.

    Also where the caller is in autocast. The second where the processor can. The setting is the
    whole process's: of threads that want both, the rough one has its way, and the last one to end
    puts back what was before the first.
    """
    with _setting:
        if not _float32:
            backends: Any = torch.backends
            owners = (backends.cuda.matmul, backends.mkldnn.matmul)
            read, write = torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
            _before.enter_context(_as_before(owners, read, write, "highest"))
        _float32.append(precision)
        _set_float32()
    try:
        with _without_autocast():
            yield
    finally:
        with _setting:
            _float32.remove(precision)
            _set_float32()


@contextmanager
def _without_autocast() -> Iterator[None]:
    with ExitStack() as left:
        for device in filter(torch.is_autocast_enabled, ("cpu", "cuda", "mps")):
            left.enter_context(torch.autocast(device, enabled=False))
        yield


def _set_float32() -> None:
    """Let float32 be multiplied as those at work want it; put back what was before the first."""
    if _float32:
        torch.set_float32_matmul_precision("medium" if "medium" in _float32 else "highest")
    else:
        _before.close()


@contextmanager
def products(device: str, precision: Precision = "32") -> Iterator[None]:
    """Compute a network's products in `precision`.

    Not around training: autocast keeps rounded weights until the outermost context ends.
    """
    with (
        full_float32(),
        torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"),
    ):
        yield

"""A hash of what a network computes beside its weights: its layers, its code and what it keeps.

Python code can depend on anything, and not all of it can be seen. This follows what networks are
made of: settings of layers, values, arrays and functions that instances and classes keep, functions
and constants that their code names, and classes that they derive from. Of Python, torch and what
else is installed names must do, for their versions say the rest; of installed classes that a
network's layers are of, the code counts too. What cannot be followed has a hash of its own each
time, so that nothing that was kept is taken for it.
"""

import dis
import hashlib
import inspect
import re
import secrets
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, partial
from itertools import chain
from types import CodeType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# What torch itself keeps in every module, and what compiling adds.
_COMPILING = (
    "_is_torch_compile", "_compile_kwargs", "_compiled_call_impl", "_torchdynamo_wrapper_id"
)  # fmt: skip
_TORCHS = {*vars(nn.Module()), *_COMPILING}
_HOOKS = ("_forward_pre_hooks", "_forward_hooks")
_VERSIONED = {"torch", "torchvision", "numpy", "gan_eval", *sys.stdlib_module_names} - {"__main__"}
_INSTALLED = ("site-packages", "dist-packages")


def code_sha256(network: nn.Module) -> str:
    """Return the hash: equal in every process that has the same network from the same code."""
    try:
        told = _Told(network)
        return told.of_all(told.network(network)).hex()
    except Exception:  # whatever strange objects raise when they are looked at, or too deep
        return f"unknown {secrets.token_hex(16)}"


class _Told:
    """Hashes of values, each that of its parts' hashes; they may refer to each other in a ring.

    By value: it is nothing to a network whether two equal tuples are one object.
    """

    def __init__(self, network: nn.Module) -> None:
        # Layers have their turn, and their weights a hash of their own.
        self._open = {id(module): number for number, module in enumerate(network.modules())}
        # Objects are held, or another could come to lie where one was.
        self._done: dict[int, tuple[bytes, Any]] = {}
        self._classes: dict[type, bytes] = {}

    def of_all(self, values: Iterable[Any]) -> bytes:
        """Return the hash of values in their order."""
        return hashlib.sha256(b"".join(map(self._of, values))).digest()

    def _of(self, value: Any) -> bytes:
        """Return the hash of a value of any kind."""
        if isinstance(value, bool | int | float | complex | str | bytes | None):
            return hashlib.sha256(f"{type(value).__name__} {value!r}".encode()).digest()
        if id(value) in self._open:
            return hashlib.sha256(f"number {self._open[id(value)]}".encode()).digest()
        if id(value) not in self._done:
            self._open[id(value)] = len(self._open)
            self._done[id(value)] = (self.of_all(self._parts(value)), value)
            del self._open[id(value)]
        return self._done[id(value)][0]

    def network(self, network: nn.Module) -> Iterator[Any]:
        """Yield what says what a network computes, without its weights."""
        yield from (_nameless(repr(network)), _apart(network))
        for name, module in network.named_modules():
            yield name
            yield from self._layer(module)

    def _layer(self, module: nn.Module) -> Iterator[Any]:
        """Yield a layer's class and what it keeps, without its weights and the layers in it."""
        yield from self._class(type(module), own=True)
        if isinstance(module, torch.jit.ScriptModule):
            yield getattr(module, "code", None)
        yield {name: value for name, value in vars(module).items() if name not in _TORCHS}
        yield from (list(getattr(module, name).values()) for name in _HOOKS)

    def _parts(self, value: Any) -> Iterator[Any]:
        """Yield what a value is made of."""
        kind = type(value)
        yield kind.__qualname__
        if _is_own(kind.__module__):
            yield from self._class(kind)
        if isinstance(value, Tensor):
            yield from _tensor(value)
        elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
            yield f"{value.dtype} {value.shape}"
            yield hashlib.sha256(value.tobytes()).digest()
        elif isinstance(value, Mapping):
            yield from (each for pair in value.items() for each in pair)
        elif isinstance(value, list | tuple | deque | np.ndarray):
            yield from value
        elif isinstance(value, set | frozenset):  # whose order may be another in each process
            yield from sorted(map(self._of, value))
        elif isinstance(value, nn.Module):  # in a list, say, where the network does not see it
            yield from (_nameless(repr(value)), value.state_dict(), _apart(value))
            yield from value.modules()
            yield from self._layer(value)
        elif isinstance(value, partial):
            yield from (value.func, value.args, value.keywords)
        elif isinstance(value, MethodType):
            yield from (value.__func__, value.__self__)
        elif isinstance(value, property):
            yield value.fget
        elif isinstance(value, cached_property):
            yield value.func
        elif isinstance(value, FunctionType):
            yield from _function(value)
        elif isinstance(value, CodeType):  # with the functions in it among its constants
            yield from (value.co_code, value.co_names, value.co_varnames, value.co_freevars)
            yield value.co_consts
        elif isinstance(value, torch.jit.ScriptFunction):
            yield value.code
        elif hasattr(value, "__wrapped__"):  # by functools.cache or staticmethod, say
            yield value.__wrapped__
        elif isinstance(value, type):
            yield from self._class(value)
        elif isinstance(value, ModuleType):
            yield value.__name__
        elif isinstance(value, SimpleNamespace) or _is_own(kind.__module__):
            yield getattr(value, "__dict__", None)
            slots = [name for each in kind.__mro__ for name in _slots(each)]
            yield {name: getattr(value, name) for name in slots if hasattr(value, name)}
        else:
            yield _nameless(repr(value))

    def _class(self, kind: type, *, own: bool = False) -> Iterator[Any]:
        """Yield what a class and those that it derives from say; `own` of an installed one too."""
        for each in kind.__mro__:
            yield f"{each.__module__} {each.__qualname__}"
            versioned = each.__module__.partition(".")[0] in _VERSIONED
            if versioned or not (own or _is_own(each.__module__)):
                continue
            if each not in self._classes:
                self._classes[each] = b""  # within itself the name must do
                self._classes[each] = self.of_all(_members(each))
            yield self._classes[each]


def _tensor(value: Tensor) -> Iterator[Any]:
    value = value.detach().to_dense() if value.layout != torch.strided else value.detach()
    yield f"{value.dtype} {tuple(value.shape)}"
    if value.device.type != "meta":  # whose values are nowhere
        # As bytes, for NumPy has no bfloat16.
        flat = value.cpu().resolve_conj().resolve_neg().contiguous().flatten()
        yield hashlib.sha256(flat.view(torch.uint8).numpy().data).digest()


def _function(function: FunctionType) -> Iterator[Any]:
    """Yield a function's code, what that names and what it has closed over."""
    module = function.__globals__.get("__name__") or ""
    yield f"{module} {function.__qualname__}"
    yield [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    if module.partition(".")[0] in _VERSIONED:
        return
    yield from (_source(function), function.__defaults__, function.__kwdefaults__)
    if _is_own(module):
        yield from _named_by(function)


def _apart(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that are in no state dict, and so in no hash of the weights."""
    named = chain(network.named_parameters(), network.named_buffers())
    kept = network.state_dict().keys()
    return {name: tensor for name, tensor in named if name not in kept}


def _members(kind: type) -> Iterator[Any]:
    for name, value in sorted(vars(kind).items()):
        if not name.startswith("__") or isinstance(value, FunctionType):
            yield from (name, value)


def _is_own(module: str) -> bool:
    """Return whether this is a module of somebody's own, not of what is installed."""
    if module.partition(".")[0] in _VERSIONED:
        return False
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return not any(name in file for name in _INSTALLED)


def _source(function: FunctionType) -> str | CodeType:
    """Return a function's text, or its instructions where it has none or no line of its own."""
    if function.__name__ != "<lambda>":
        try:
            return inspect.getsource(function.__code__)
        except (OSError, TypeError):  # typed in at a prompt
            pass
    return function.__code__


def _slots(kind: type) -> tuple[str, ...]:
    named = vars(kind).get("__slots__", ())
    return (named,) if isinstance(named, str) else tuple(named)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a function's code and that of the functions in it."""
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _codes(each)


def _named_by(function: FunctionType) -> Iterator[Any]:
    """Yield the globals that a function names, and of modules of somebody's own what it takes."""
    taken = dict.fromkeys(name for code in _codes(function.__code__) for name in code.co_names)
    for code in _codes(function.__code__):
        for each in dis.get_instructions(code):
            if each.opname == "LOAD_GLOBAL" and each.argval in function.__globals__:
                yield from _with_members(function.__globals__[each.argval], taken)


def _with_members(value: Any, names: Iterable[str]) -> Iterator[Any]:
    yield value
    if isinstance(value, ModuleType) and _is_own(value.__name__):
        members = [vars(value)[name] for name in names if name in vars(value)]
        for each in members:
            # A package's own modules, one level at a time; what they import of it is no member.
            below = isinstance(each, ModuleType) and each.__name__.startswith(f"{value.__name__}.")
            yield from _with_members(each, names) if below else (each,)


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:  # of a name that has no value yet
        return False
    return True


def _nameless(text: str) -> str:
    """Return text without addresses: where a function lies in memory says nothing of it."""
    return re.sub(" at 0x[0-9a-f]+", "", text)

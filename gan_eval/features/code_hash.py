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
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
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
        return _told(network)
    except Exception:  # whatever strange objects raise when they are looked at, or too deep
        return f"unknown {secrets.token_hex(16)}"


def _told(network: nn.Module) -> str:
    told = _Told(network)
    kept = network.state_dict().keys()
    told.add(_nameless(repr(network)))
    for name, buffer in network.named_buffers():
        if name not in kept:
            told.add((name, buffer))
    for name, module in network.named_modules():
        told.add(name)
        told.add_module(module)
    return told.hexdigest()


class _Told:
    """A hash of what was told of values, which may refer to each other in a ring.

    By value: it is nothing to a network whether two equal tuples are one object.
    """

    def __init__(self, network: nn.Module) -> None:
        self._digest = hashlib.sha256()
        # Layers have their turn, and their weights a hash of their own.
        self._open = {id(module): number for number, module in enumerate(network.modules())}
        # Objects are held, or another could come to lie where one was.
        self._done: dict[int, tuple[bytes, Any]] = {}
        self._classes: dict[type, bytes] = {}

    def hexdigest(self) -> str:
        return self._digest.hexdigest()

    def add(self, value: Any) -> None:
        """Add a value of any kind."""
        if isinstance(value, bool | int | float | complex | str | bytes | None):
            self._say(f"{type(value).__name__} {value!r}")
        elif id(value) in self._open:
            self._say(f"number {self._open[id(value)]}")
        else:
            if id(value) not in self._done:
                self._open[id(value)] = len(self._open)
                self._done[id(value)] = (self._hashed(self._add_new, value), value)
                del self._open[id(value)]
            self._digest.update(self._done[id(value)][0])

    def add_module(self, module: nn.Module) -> None:
        """Add what a layer keeps and its class, without its weights and the layers in it."""
        mine = {name: value for name, value in vars(module).items() if name not in _TORCHS}
        self._add_class(type(module), own=True)
        if isinstance(module, torch.jit.ScriptModule):
            self.add(getattr(module, "code", None))
        self._add_all([mine, *(list(getattr(module, name).values()) for name in _HOOKS)])

    def _say(self, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        self._digest.update(f"{len(data)} ".encode() + data)

    def _hashed(self, add: Callable[[Any], None], value: Any) -> bytes:
        """Return the hash of what `add` tells of a value alone."""
        outer, self._digest = self._digest, hashlib.sha256()
        add(value)
        inner, self._digest = self._digest, outer
        return inner.digest()

    def _add_unordered(self, values: Iterable[Any]) -> None:
        """Add values of a set, whose order may be another in each process."""
        for each in sorted(self._hashed(self.add, value) for value in values):
            self._digest.update(each)
        self._say("end")

    def _add_new(self, value: Any) -> None:
        kind = type(value)
        self._say(kind.__qualname__)
        if _is_own(kind.__module__):
            self._add_class(kind)
        if isinstance(value, Tensor):
            self._add_tensor(value)
        elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
            self._say(f"{value.dtype} {value.shape}")
            self._digest.update(value.tobytes())
        elif isinstance(value, Mapping):
            self._add_all(each for pair in value.items() for each in pair)
        elif isinstance(value, list | tuple | deque | np.ndarray):
            self._add_all(value)
        elif isinstance(value, set | frozenset):
            self._add_unordered(value)
        elif isinstance(value, nn.Module):  # in a list, say, where the network does not see it
            self._add_all([_nameless(repr(value)), value.state_dict(), *value.modules()])
            self.add_module(value)
        elif isinstance(value, partial):
            self._add_all([value.func, value.args, value.keywords])
        elif isinstance(value, MethodType):
            self._add_all([value.__func__, value.__self__])
        elif isinstance(value, staticmethod | classmethod):
            self.add(value.__func__)
        elif isinstance(value, property):
            self.add(value.fget)
        elif isinstance(value, cached_property):
            self.add(value.func)
        elif isinstance(value, FunctionType):
            self._add_function(value)
        elif isinstance(value, torch.jit.ScriptFunction):
            self.add(value.code)
        elif hasattr(value, "__wrapped__"):  # by functools.cache, say
            self.add(value.__wrapped__)
        elif isinstance(value, type):
            self._add_class(value)
        elif isinstance(value, ModuleType):
            self._say(value.__name__)
        elif isinstance(value, SimpleNamespace) or _is_own(kind.__module__):
            self.add(getattr(value, "__dict__", None))
            slots = [name for each in kind.__mro__ for name in _slots(each)]
            self.add({name: getattr(value, name) for name in slots if hasattr(value, name)})
        else:
            self._say(_nameless(repr(value)))

    def _add_all(self, values: Any) -> None:
        for value in values:
            self.add(value)
        self._say("end")

    def _add_tensor(self, value: Tensor) -> None:
        value = value.detach().to_dense() if value.layout != torch.strided else value.detach()
        self._say(f"{value.dtype} {tuple(value.shape)}")
        if value.device.type != "meta":  # whose values are nowhere
            # As bytes, for NumPy has no bfloat16.
            flat = value.cpu().resolve_conj().resolve_neg().contiguous().flatten()
            self._digest.update(flat.view(torch.uint8).numpy().data)

    def _add_function(self, function: FunctionType) -> None:
        """Add a function's code, what that names and what it has closed over."""
        module = function.__globals__.get("__name__") or ""
        self._say(f"{module} {function.__qualname__}")
        self._add_all(cell.cell_contents for cell in function.__closure__ or () if _filled(cell))
        if module.partition(".")[0] in _VERSIONED:
            return
        self._say(_source(function))
        self._add_all([function.__defaults__, function.__kwdefaults__])
        if _is_own(module):
            self._add_all(_named_by(function))

    def _add_class(self, kind: type, *, own: bool = False) -> None:
        """Add what a class and those that it derives from say; `own` of an installed one too."""
        for each in kind.__mro__:
            self._say(f"{each.__module__} {each.__qualname__}")
            versioned = each.__module__.partition(".")[0] in _VERSIONED
            if versioned or not (own or _is_own(each.__module__)):
                continue
            if each not in self._classes:
                self._classes[each] = b""  # within itself the name must do
                self._classes[each] = self._hashed(self._add_members, each)
            self._digest.update(self._classes[each])

    def _add_members(self, kind: type) -> None:
        for name, value in sorted(vars(kind).items()):
            if not name.startswith("__") or isinstance(value, FunctionType):
                self._say(name)
                self.add(value)


def _is_own(module: str) -> bool:
    """Return whether this is a module of somebody's own, not of what is installed."""
    if module.partition(".")[0] in _VERSIONED:
        return False
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return not any(name in file for name in _INSTALLED)


def _source(function: FunctionType) -> str:
    """Return a function's text, or its instructions where it has none or no line of its own."""
    if function.__name__ != "<lambda>":
        try:
            return inspect.getsource(function.__code__)
        except (OSError, TypeError):  # typed in at a prompt
            pass
    return "".join(
        f"{code.co_code.hex()} {code.co_names} {code.co_freevars} {_constants(code)}"
        for code in _codes(function.__code__)
    )


def _slots(kind: type) -> tuple[str, ...]:
    named = vars(kind).get("__slots__", ())
    return (named,) if isinstance(named, str) else tuple(named)


def _constants(code: CodeType) -> list[str]:
    plain = [each for each in code.co_consts if not isinstance(each, CodeType)]
    return [repr(sorted(each, key=repr) if isinstance(each, frozenset) else each) for each in plain]


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

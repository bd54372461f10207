"""The command line: one module per command, loaded when it is called, so that help is instant."""

import errno
import importlib
import os
import sys
import traceback
from typing import Any, NoReturn

import click

from gan_eval import __version__
from gan_eval.errors import InputError, closest, one_line

_COMMANDS = (
    "arithmetic",
    "benchmark",
    "classify",
    "compare",
    "data",
    "dedup",
    "dropout",
    "filters",
    "import",
    "interpolate",
    "neighbors",
    "presets",
    "quickstart",
    "report",
    "sample",
    "score",
    "train",
)
# Commands whose module and function cannot have their name, a Python keyword.
_MODULES = {"import": "imports"}
# Commands that several processes share under torchrun; of others each would do the whole.
_SHARED = ("train", "classify", "score")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What errors say where a CPU's memory, a GPU's or one that others use is full.
_FULL_MEMORY = ("can't allocate memory", "out of memory", "ALLOC_FAILED", "busy or unavailable")


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        name = _MODULES.get(cmd_name, cmd_name)
        command = getattr(importlib.import_module(f"gan_eval.cli.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-"):
            raise InputError(f"command {name!r} is not known. {closest(name, _COMMANDS)}")
        several = "LOCAL_RANK" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"
        if several and name not in _SHARED and not {"-h", "--help"} & {*args}:
            raise InputError(
                f"{name} runs in one process; {', '.join(_SHARED)} in several. Got "
                f"{os.environ['WORLD_SIZE']}; start it without torchrun."
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(__version__, prog_name="gan-eval")
def cli() -> None:
    """Train DCGANs and measure what they learned (Radford, Metz & Chintala 2015).

    \b
    gan-eval quickstart                      # digits, no download, under 3 minutes
    gan-eval train --preset carpedm20 --data my-photos/ --out runs/mine
    gan-eval sample runs/mine --n 64 --out grid.png
    gan-eval classify runs/quickstart --data digits --features disc,random-disc,pixels
    """


def main() -> NoReturn:
    """Run the command line; a user's mistake ends it with one line and exit code 2."""
    try:
        _run()
    except Exception:
        if _alone():
            raise
        traceback.print_exc()
        _leave(1)


def _run() -> NoReturn:
    try:
        code = cli.main(prog_name="gan-eval", standalone_mode=False)
    except InputError as error:
        _give_up(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help())
        sys.exit(0)
    except click.ClickException as error:
        _give_up(error.format_message())
    except click.Abort:
        _leave(130)
    except OSError as error:
        if error.errno in _FULL:
            _give_up(
                f"disk space must be left to write {error.filename or 'the results'}. Got "
                f"{error.strerror!r}; free some and repeat the command. What was saved before is "
                "whole; a training goes on with --resume."
            )
        if error.filename is None:
            raise
        _give_up(
            f"{error.filename} must be usable. Got {error.strerror!r}; check path and permissions."
        )
    except (MemoryError, RuntimeError) as error:
        if not _is_full_memory(error):
            raise
        _give_up(
            f"memory must suffice. Got {one_line(error)!r}; take smaller batches (--batch-size) or "
            "fewer images (--limit, --n), or leave more of it free."
        )
    sys.exit(code or 0)


def _is_full_memory(error: Exception) -> bool:
    """Return whether memory was full: torch often says it by an error of no special kind."""
    told = type(error).__name__ in ("MemoryError", "OutOfMemoryError")  # torch is not imported yet
    return told or any(words in str(error) for words in _FULL_MEMORY)


def _give_up(message: str) -> NoReturn:
    click.echo(f"Error: {' '.join(message.splitlines())}", err=True)  # names may have several
    _leave(2)


def _alone() -> bool:
    """Return whether no other processes share the work."""
    devices = sys.modules.get("gan_eval.devices")  # importing it takes a second
    return devices is None or devices.processes()[1] == 1


def _leave(code: int) -> NoReturn:
    """End the process after an error, at once where others may be waiting for it.

    Parting from them in good order would wait for them.
    """
    if _alone():
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

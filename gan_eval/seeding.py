"""One seed, many named random streams.

Every consumer of randomness takes a `torch.Generator` made here from (seed, name), so that adding
a consumer never shifts another's numbers and no global generator is touched.
"""

import hashlib

import torch

from gan_eval.errors import InputError


def derive(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed that depends on `seed` and on every name, by SHA-256.

    >>> derive(0, "init") == derive(0, "init"), derive(0, "init") == derive(0, "latent")
    (True, False)
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def check_default_device() -> None:
    """Refuse another default device of torch's, where what is meant for the CPU would lie.

    Raises:
        InputError: there is one.
    """
    if (default := torch.get_default_device()).type != "cpu":
        raise InputError(
            f"torch's default device must be the CPU. Got {default}; call "
            "torch.set_default_device('cpu'), and pass device='cuda' or 'mps' where it is wanted."
        )


def stream(seed: int, *names: str | int) -> torch.Generator:
    """Return the CPU generator of the stream named `names` under `seed`.

    Streams live on the CPU on purpose: the same seed then gives the same numbers on any device.

    Raises:
        InputError: torch's default device is another.
    """
    check_default_device()
    return torch.Generator().manual_seed(derive(seed, *names))

"""One seed, many named random streams.

Every consumer of randomness takes a `torch.Generator` made here from (seed, name), so that adding
a consumer never shifts another's numbers and no global generator is touched.
"""

import hashlib

import torch


def derive(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed that depends on `seed` and on every name, by SHA-256.

    >>> derive(0, "init") == derive(0, "init"), derive(0, "init") == derive(0, "latent")
    (True, False)
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *names: str | int) -> torch.Generator:
    """Return the CPU generator of the stream named `names` under `seed`.

    Streams live on the CPU on purpose: the same seed then gives the same numbers on any device.
    """
    return torch.Generator().manual_seed(derive(seed, *names))

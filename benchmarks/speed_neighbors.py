"""The nearest neighbour side by side with scikit-learn's brute force, on MNIST.

    python benchmarks/speed_neighbors.py [--repeat 3] [--stream 300000]

10,000 test digits against 60,000 training digits of 784 pixels: `RunningNearest` on uint8 pixels
and on float32 ones in [0, 1], and `KNeighborsClassifier(1, algorithm="brute")` on float32, which
must give the same answers. Then samples pass by, --stream in all, and the memory that this adds is
noted.
Appends one JSON line to results/speed_neighbors/speed.jsonl. Needs mnist under GAN_EVAL_DATA.
"""

import argparse
import time
from pathlib import Path

import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from gan_eval.data import open_images
from gan_eval.files import append_line
from gan_eval.probes import RunningNearest
from gan_eval.records import peak_memory_bytes, provenance

RESULTS = Path(__file__).parent.parent / "results" / "speed_neighbors" / "speed.jsonl"


def digits(split: str) -> tuple[Tensor, Tensor]:
    images = open_images("mnist", root=None, split=split)
    assert images.pixels is not None
    assert images.labels is not None
    return images.pixels.flatten(1), images.labels


def ours(queries: Tensor, samples: Tensor, labels: Tensor, repeat: int) -> tuple[float, Tensor]:
    """Return the seconds of the fastest of some times, and the answers."""
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        nearest = RunningNearest(queries)
        nearest.update(samples, labels)
        seconds.append(time.perf_counter() - start)
    return min(seconds), nearest.labels


def theirs(queries: Tensor, samples: Tensor, labels: Tensor) -> tuple[float, Tensor]:
    model = KNeighborsClassifier(1, algorithm="brute").fit(samples.numpy(), labels.numpy())
    start = time.perf_counter()
    answers = model.predict(queries.numpy())
    return time.perf_counter() - start, torch.from_numpy(answers)


def added_memory(queries: Tensor, samples: Tensor, n: int) -> int:
    """Return the bytes by which the peak grows while n samples pass by, again and again."""
    nearest = RunningNearest(queries)
    nearest.update(samples)
    before = peak_memory_bytes()
    while nearest.seen < n:
        nearest.update(samples)
    return peak_memory_bytes() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--stream", type=int, default=300_000)
    given = parser.parse_args()
    (samples, labels), (queries, _) = digits("train"), digits("test")
    pixels, answers = ours(queries, samples, labels, given.repeat)
    unit = [part.float() / 255 for part in (queries, samples)]
    floats, same = ours(*unit, labels, given.repeat)
    reference, known = theirs(queries.float(), samples.float(), labels)
    row = {
        "queries": len(queries), "samples": len(samples), "ours_uint8": round(pixels, 3),
        "ours_float32": round(floats, 3), "scikit_learn": round(reference, 3),
        "ratio": round(reference / pixels, 2), "ratio_float32": round(reference / floats, 2),
        "same_answers": bool(answers.equal(known) and same.equal(known)),
        "added_bytes": added_memory(queries, samples, given.stream), "streamed": given.stream,
        **provenance(),
    }  # fmt: skip
    append_line(RESULTS, row)
    print(row)


if __name__ == "__main__":
    main()

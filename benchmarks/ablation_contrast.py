"""Why `radford2015-imagenet32` loses contrast: what its D normalises by does not see it.

    python benchmarks/ablation_contrast.py [--data tiny-imagenet32] [--steps 2500] [--seeds 1]

D's first layer has no bias and no batch norm, leaky ReLU keeps scale, and the layers after it are
divided by the standard deviation of their own batch: only `eps`, added to the variance, lets D tell
a batch of pale images from the same in full contrast. The authors' is 1e-8. Trained are an eighth
of the published widths with D's eps at that and larger; `diversity` is the variance of generated
batches divided by that of real ones. Appends to results/figure_2_3_samples/contrast.jsonl and draws
contrast.png.

On 2 cores: three minutes for each seed with --steps 1000.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib.pyplot as plt

from gan_eval import Request, carry_out, new_job
from gan_eval.files import append_line, read_lines
from gan_eval.records import provenance

RESULTS = Path(__file__).parent.parent / "results" / "figure_2_3_samples"
PRESET, THINNER, EVERY = "radford2015-imagenet32", 8, 250
EPS = (1e-8, 1e-5, 1e-3)  # the authors', that of the other presets, a large one


def thin(network: Any) -> Any:
    """Return the config of a network with an eighth of the maps in each layer but the last."""
    inner = (replace(layer, width=layer.width // THINNER) for layer in network.layers[:-1])
    return replace(network, layers=(*inner, network.layers[-1]))


def diversity(data: str, steps: int, seed: int, eps: float) -> list[float]:
    """Train, and return the mean diversity of every `EVERY` steps."""
    request = Request(preset=PRESET, data=data, steps=steps, seed=seed, precision="32")
    with tempfile.TemporaryDirectory() as folder:
        job = new_job(Path(folder) / "run", request)
        d = thin(job.config.discriminator)
        d = replace(d, norm=replace(d.norm, eps=eps))
        config = replace(job.config, generator=thin(job.config.generator), discriminator=d)
        carry_out(replace(job, config=config))
        rows = [row for row in read_lines(job.run.metrics) if "diversity" in row]
    parts = [
        [row["diversity"] for row in rows if start < row["step"] <= start + EVERY]
        for start in range(0, steps, EVERY)
    ]
    return [round(fmean(part), 4) for part in parts if part]


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw diversity over steps, a line for each training."""
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for row in rows:
        x = range(EVERY, EVERY * len(row["diversity"]) + 1, EVERY)
        colour = f"C{EPS.index(row['eps'])}"
        label = f"D's eps {row['eps']:g}" if row["seed"] == 0 else None
        axes.plot(x, row["diversity"], color=colour, label=label)
    axes.axhline(1, color="grey", linestyle=":", label="real images")
    axes.set(xlabel="step", ylabel="variance, generated / real", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="tiny-imagenet32")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    rows = []
    for seed in range(given.seeds):
        for eps in EPS:
            start = time.perf_counter()
            found = diversity(given.data, given.steps, seed, eps)
            row = {"benchmark": "ablation_contrast", "name": f"D's eps {eps:g}, seed {seed}",
                   "of": f"{PRESET}, widths / {THINNER}", "data": given.data, "eps": eps,
                   "seed": seed, "steps": given.steps, "diversity": found,
                   "diversity at the end": found[-1], "seconds": time.perf_counter() - start,
                   **provenance()}  # fmt: skip
            append_line(RESULTS / "contrast.jsonl", row)
            rows.append(row)
            print(row["name"], found, flush=True)
    draw(rows, RESULTS / "contrast.png")


if __name__ == "__main__":
    main()

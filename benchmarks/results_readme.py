"""Write results/README.md from the JSON lines and pictures under results/.

python benchmarks/results_readme.py
"""

import statistics
from pathlib import Path
from typing import Any

from gan_eval.records import read_lines

RESULTS = Path(__file__).parent.parent / "results"


def table(columns: list[str], rows: list[list[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def hardware(row: dict[str, Any]) -> str:
    found = row["hardware"]
    gpu = "" if found["cuda"] == "none" else f", {found['cuda']}"
    return f"{found['processor']}, {found['threads']} threads, bf16 by {found['bf16']}{gpu}"


def samples() -> str:
    newest = {row["name"]: row for row in read_lines(RESULTS / "figure_2_3" / "runs.jsonl")}
    rows = list(newest.values())
    columns = ["run", "images", "epochs", "minutes", "diversity", "swing", "D wins", "command"]
    cells = [
        [row["name"], f"{row['images']:,}", row["epochs"], row["minutes"],
         f"{row['steadiness']['diversity_min']} … {row['steadiness']['diversity_max']}",
         row["steadiness"]["g_loss_swing"], row["steadiness"]["d_wins"], f"`{row['command']}`"]
        for row in rows
    ]  # fmt: skip
    parts = [
        "## Samples of every network on real images (the paper's figures 2 and 3)",
        "Fixed z after the first and the last kept epoch, in evaluation mode. After the first "
        "tenth of a run: *diversity* is the total variance of a generated batch over that of a "
        "real one, least and largest (0 would be collapse); *swing* the largest over the smallest "
        "mean of G's loss in a ninth of it (large would be oscillation); *D wins* the share of "
        "logged batches in which D was right on every image. Minutes are those of the training "
        f"steps at the median rate, on {hardware(rows[0])}.",
        table(columns, cells),
    ]
    for row in rows:
        pictures = sorted((RESULTS / "figure_2_3").glob(f"{row['name']}-epoch-*.png"))
        first, last = pictures[0], pictures[-1]
        parts.append(f"### {row['name']}")
        parts.append(
            " ".join(
                f'<img src="figure_2_3/{p.name}" width="300" alt="{p.stem}">'
                for p in dict.fromkeys((first, last))
            )
            + f' <img src="figure_2_3/{row["name"]}-losses.png" width="420" alt="losses">'
        )
    return "\n\n".join(parts)


def speed() -> str:
    rows = list(read_lines(RESULTS / "speed_train" / "speed.jsonl"))
    columns = ["hardware", "precision", "plain, images/s", "ours, images/s", "ratio (min … max)",
               "of the bf16 matrix peak"]  # fmt: skip
    cells = [
        [hardware(row), row["precision"],
         f"{statistics.median(row['plain_images_per_second']):.0f}",
         f"{statistics.median(row['ours_images_per_second']):.0f}",
         f"**{row['ratio_median']:.2f}** ({row['ratio_min']:.2f} … {row['ratio_max']:.2f})",
         f"{row['share_of_matrix_peak']:.0%} of {row['matrix_peak_tflops']:.2f} TFLOP/s"]
        for row in rows
    ]  # fmt: skip
    return "\n\n".join(
        [
            "## Training speed beside a plain loop",
            "`pytorch-examples` at 64x64, batch 64; the plain loop as tutorials write it; "
            "alternating, each in its own process (`benchmarks/speed_train.py`).",
            table(columns, cells),
        ]
    )


def precision() -> str:
    cells = []
    for row in read_lines(RESULTS / "speed_train" / "precision.jsonl"):
        for name, values in row["frechet_8x8"].items():
            mean, spread = statistics.mean(values), statistics.stdev(values)
            cells.append([name, row["steps"], len(values), f"{mean:.3f} ± {spread:.3f}",
                          row["real_halves"]])  # fmt: skip
    columns = ["precision", "steps", "seeds", "Fréchet distance, mean ± std", "two real halves"]
    return "\n\n".join(
        [
            "## What bf16 costs",
            "`radford2015-svhn` on the embedded digits, equal steps, moments of 8x8 pixels "
            "(`benchmarks/precision_train.py`).",
            table(columns, cells),
        ]
    )


def solver() -> str:
    columns = ["part", "ours, s", "LinearSVC, s", "ratio", "what", "hardware"]
    cells = []
    for row in read_lines(RESULTS / "speed_svm" / "speed.jsonl"):
        if row["part"] == "one":
            what = f"5,000 x 28,672, C = {row['C']:g}"
            cells.append(["one C", f"{row['ours'][-1]:.1f}", f"{row['LinearSVC']:.0f}",
                          f"**{row['ratio']:.0f}**", what, hardware(row)])  # fmt: skip
        elif row["part"] == "sweep":
            fits = " + ".join(map(str, row["LinearSVC_measured"]))
            what = f"170 fits of 1,000 x 7,168; of LinearSVC's {fits} measured, the rest by sum"
            cells.append(["table 2's sweep", f"{row['ours']:.1f}", f"{row['LinearSVC']:.0f}",
                          f"**{row['ratio']:.0f}**", what, hardware(row)])  # fmt: skip
        elif row["part"] == "path":
            what = f"5,000 x 28,672, 7 C; LinearSVC given up at {row['given_up_at']:.0f} s a fit"
            cells.append(["seven C", f"{row['ours']:.1f}", f"≥ {sum(row['LinearSVC']):.0f}",
                          f"**≥ {row['ratio_at_least']:.0f}**", what, hardware(row)])  # fmt: skip
        else:
            seven = f", seven C {row['seven']:.0f} s" if row["seven"] else ""
            what = f"{row['rows']:,} x 28,672{seven}; peak {row['peak_gib']:.1f} GiB"
            cells.append(["one C, large", f"{row['one']:.0f}", "cannot run", "–", what,
                          hardware(row)])  # fmt: skip
    return "\n\n".join(
        [
            "## The L2-SVM beside scikit-learn's LinearSVC",
            "Ten classes, real discriminator features, one run, to a relative duality gap of 1e-6 "
            "(`benchmarks/speed_svm.py`).",
            table(columns, cells),
        ]
    )


def table_2() -> str:
    folder = RESULTS / "table_2_svhn"
    pictures = " ".join(
        f'<img src="table_2_svhn/{p.name}" width="300" alt="{p.stem}">'
        for p in sorted(folder.glob("*.png"))
    )
    return "\n\n".join(
        ["## Table 2: SVHN with 1,000 labels", (folder / "table.md").read_text().rstrip(), pictures]
    )


def main() -> None:
    title = "# Results\n\nWritten by `benchmarks/results_readme.py` from the JSON lines beside it."
    parts = [title]
    for part, path in (
        (samples, RESULTS / "figure_2_3" / "runs.jsonl"),
        (table_2, RESULTS / "table_2_svhn" / "table.md"),
        (solver, RESULTS / "speed_svm" / "speed.jsonl"),
        (speed, RESULTS / "speed_train" / "speed.jsonl"),
        (precision, RESULTS / "speed_train" / "precision.jsonl"),
    ):
        if path.exists():
            parts.append(part())
    (RESULTS / "README.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()

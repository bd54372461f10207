"""`gan-eval report`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from gan_eval.cli.options import UserPath, json_option
from gan_eval.cli.output import print_json, print_table, say


@click.command(short_help="Put everything measured on one page, beside the paper's numbers.")
@click.argument("results", type=UserPath(), default=Path("results"))
@json_option
def report(results: Path, as_json: bool) -> None:
    """Write RESULTS/report.html and RESULTS/tables from the JSON lines and pictures in RESULTS.

    Without RESULTS, those in results/ here.

    The page needs no network. It has a section for each exhibit of the paper, run or not: the
    paper's numbers beside ours, a verdict by a rule that it states, scores, controls, curves,
    pictures, deviations and provenance. Tables are Markdown, CSV and LaTeX.

    \b
    gan-eval report results/
    gan-eval report runs/quickstart
    """
    from gan_eval.report.page import report as write_report

    found = write_report(results)
    for notice in found.notices:
        say(notice)
    if as_json:
        files = [str(path.resolve()) for path in found.files]
        lines = {title: [asdict(line) for line in some] for title, some in found.lines.items()}
        print_json({"exhibits": lines, "files": files})
        return
    print_table(
        "The paper's numbers beside ours; why, and all scores, are on the page",
        ("exhibit", "number", "paper", "ours", "difference", "verdict"),
        _rows(found),
    )
    say(f"Written: {found.files[-1]}, and {len(found.files) - 1} tables in {results / 'tables'}")


def _rows(found: Any) -> list[tuple[str, ...]]:
    """Return the lines of all exhibits but those that only quote the paper."""
    from gan_eval.report.tables import shown_lines

    return [
        (title, *row[:5])
        for title, lines in found.lines.items()
        for row in shown_lines(lines).itertuples(index=False, name=None)
        if row[4] != "quoted"
    ]

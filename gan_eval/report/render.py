"""Frames as Markdown, CSV and LaTeX. A CSV has numbers as they are; the others are for people."""

import html
import re
from pathlib import Path

import pandas as pd

from gan_eval.files import write_bytes

# What Markdown takes for emphasis, code, links and pictures; not the _ within a name.
_MARKUP = re.compile(r"[\\`*\[\]|]|(?<!\w)_|_(?!\w)")


def markdown(frame: pd.DataFrame) -> str:
    """Return a frame of text as a Markdown table, in which no cell is markup.

    Example:
        >>> print(markdown(pd.DataFrame({"a": ["x|y", "<b>"]})), end="")
        | a |
        | --- |
        | x\\|y |
        | &lt;b&gt; |
    """
    lines = [[plain(name) for name in frame], ["---"] * frame.shape[1]]
    lines += [[plain(value) for value in row] for row in frame.itertuples(index=False)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def plain(value: object) -> str:
    """Return text of which Markdown makes nothing but the text, on one line."""
    text = html.escape(" ".join(str(value).split()), quote=False)
    return _MARKUP.sub(lambda found: f"\\{found[0]}", text)


def write_tables(
    stem: Path, frame: pd.DataFrame, shown: list[tuple[str, pd.DataFrame]]
) -> list[Path]:
    """Write a table as <stem>.md, .csv and .tex, each whole or not at all; return the files.

    Args:
        frame: the numbers.
        shown: captions, and the parts as people read them.
    """
    parts = [(f"**{plain(caption)}**\n\n" if caption else "", each) for caption, each in shown]
    texts = {
        ".md": "\n".join(caption + markdown(each) for caption, each in parts),
        ".csv": frame.to_csv(index=False),
        ".tex": "\n".join(_latex(caption, each) for caption, each in shown),
    }
    files = []
    for suffix, text in texts.items():
        files.append(stem.parent / f"{stem.name}{suffix}")
        write_bytes(files[-1], text.encode())
    return files


def _latex(caption: str, frame: pd.DataFrame) -> str:
    """Return a frame of text as a LaTeX table, in which no cell is a command."""
    comment = f"% {' '.join(caption.split())}\n" if caption else ""
    lines = frame.map(lambda value: " ".join(str(value).split()))
    return f"{comment}{lines.to_latex(index=False, escape=True)}"

"""Near neighbours among binary codes by the number of bits in which they differ.

Codes are packed, eight bits a byte: uint8 (n, width / 8). Searched with FAISS: all pairs by
multi-index hashing (Norouzi, Punjani & Fleet 2012, "Fast Search in Hamming Space with Multi-Index
Hashing"). Two codes within a radius r differ by at most r // k bits in one of their k parts, so
that looking each part up in a table, with so many bits flipped, finds every pair.

Beside the codes, tables and labels take about 300 bytes a code.
"""

from collections.abc import Callable

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_PART = 20  # bits of a part: a million codes lie in as many places
_QUERIES = 1024  # codes looked up at once
_PAIRS = 2**22  # pairs kept before they are merged into labels


def nearest_others(
    codes: NDArray[np.uint8], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return in how many bits the nearest other code differs from each of `rows`, and its row.

    Args:
        codes: packed, at least 2.
        rows: int64 (m,), of `codes`; each is compared with all others.

    Example:
        >>> nearest_others(np.array([[0], [7], [0], [3]], np.uint8), np.array([1, 2]))
        (array([1, 0]), array([3, 0]))
    """
    index = faiss.IndexBinaryFlat(8 * codes.shape[1])
    index.add(codes)
    distances, found = index.search(codes[rows], 2)
    # A code that others equal need not come before them.
    others = np.where(found[:, 0] == rows, found[:, 1], found[:, 0])
    return distances[:, 1].astype(np.int64), others


def components(
    codes: NDArray[np.uint8],
    radius: int,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.int64]:
    """Return the number of each code's group, (n,): codes linked by chains of near pairs.

    Args:
        codes: packed, of whole bytes.
        radius: a near pair differs in at most so many bits; 0 groups equal codes only.
        tell: called with the distinct codes that were looked up, and their number.

    Example:
        >>> codes = np.array([[0, 0], [0, 1], [0, 3], [255, 255]], np.uint8)
        >>> components(codes, 1).tolist(), components(codes, 0).tolist()
        ([0, 0, 0, 1], [0, 1, 2, 3])
    """
    bits = 8 * codes.shape[1]
    if radius >= bits:  # no two codes differ in more
        return np.zeros(len(codes), np.int64)
    distinct, which = np.unique(codes, axis=0, return_inverse=True)
    labels = np.arange(len(distinct))
    if radius:
        parts, width = max(1, bits // _PART), min(bits, _PART)
        index = faiss.IndexBinaryMultiHash(bits, parts, width)
        index.nflip = min(radius // parts, width)  # asked to flip more than there are, it hangs
        index.add(distinct)
        found: list[NDArray[np.int64]] = []
        for start in range(0, len(distinct), _QUERIES):
            found.append(_near(index, distinct[start : start + _QUERIES], start, radius))
            if sum(each.shape[1] for each in found) > _PAIRS:
                labels, found = _merged(labels, found), []
            tell(min(start + _QUERIES, len(distinct)), len(distinct))
        labels = _merged(labels, found) if found else labels
    return np.asarray(labels[which.reshape(-1)], np.int64)


def _near(
    index: faiss.IndexBinaryMultiHash, queries: NDArray[np.uint8], start: int, radius: int
) -> NDArray[np.int64]:
    """Return pairs of rows (2, m), each with a later one, of which the first is a query."""
    ends, _, others = index.range_search(queries, radius + 1)  # FAISS means nearer than that
    starts = ends.astype(np.int64)
    rows = np.repeat(np.arange(start, start + len(queries)), starts[1:] - starts[:-1])
    later = others > rows
    return np.stack([rows[later], others[later]])


def _merged(labels: NDArray[np.int64], pairs: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return labels under which the two codes of every pair are one group."""
    first, second = labels[np.concatenate(pairs, 1)]
    shape = (labels.max() + 1,) * 2
    graph = coo_array((np.ones(len(first), np.bool_), (first, second)), shape=shape)
    return np.asarray(connected_components(graph, directed=False)[1][labels], np.int64)

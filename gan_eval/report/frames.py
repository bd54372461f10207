"""What was measured, as pandas frames, for those who go on from it in Python."""

from collections.abc import Iterable

from gan_eval.records import Record, Written
from gan_eval.report.read import Section
from gan_eval.report.tables import Table, scores


def tables(found: Iterable[Written | Record] | Written | Record) -> list[Table]:
    """Return the scores in `found`: those of one protocol and the same data in one frame.

    Args:
        found: what experiments returned, or their records; one or several.

    Returns:
        A caption and a frame each. Controls have rows of their own; rates are fractions, and
        columns that nothing has a number for are left out.

    Example:
        >>> import gan_eval
        >>> from tempfile import TemporaryDirectory
        >>> few = gan_eval.choose_protocol(labels_per_class=5, draws=2)
        >>> with TemporaryDirectory() as folder:
        ...     found = gan_eval.classify(["pixels"], "digits", few, store=folder, out=folder)
        >>> (table,) = tables(found)
        >>> table.caption
        'authors-svhn, 5 labels per class, 2 draws, version 1, on digits'
        >>> bool(0.05 < table.frame["error_mean"][0] < 0.5)
        True
    """
    found = [found] if isinstance(found, Written | Record) else found
    records = [each if isinstance(each, Record) else each.record for each in found]
    return scores(Section(records=records))

"""How far a share that was counted may be from the one that many more trials would give."""


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of Wilson (1927) for a binomial share, as fractions.

    Example:
        >>> [round(end, 3) for end in wilson_interval(8, 10)]
        [0.49, 0.943]
    """
    from scipy.stats import binomtest  # half a second, which other commands do not need

    interval = binomtest(successes, trials).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)

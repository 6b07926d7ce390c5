"""Tests of paired answers: whether one model is better than another on the same questions."""


def sign_test(better: int, worse: int) -> float:
    """The two-sided p-value of so uneven counts if better and worse were equally likely.

    Of right and wrong answers this is McNemar's exact test (McNemar 1947); questions that both answer equally well say
    nothing. 1 if there are no others.
    """
    from scipy.stats import binomtest

    return float(binomtest(better, better + worse, 0.5).pvalue) if better + worse else 1.0

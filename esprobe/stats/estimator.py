"""The pass@k estimator for one problem. The views compute the same in SQL for k = 1, 2, 4, … and n; this is for any k."""

from math import prod

SAME = 1e-12  # shares that differ by no more are equal, and rounding made the difference


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased pass@k of a problem with c correct among n draws: 1 − C(n−c, k) / C(n, k).

    The probability that k of the n draws, chosen without replacement, include a correct one (Chen et al. 2021, "Evaluating Large
    Language Models Trained on Code", arXiv 2107.03374). 0 ≤ c ≤ n, 1 ≤ k ≤ n; ValueError otherwise.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@k needs 0 ≤ c ≤ n and 1 ≤ k ≤ n, not n={n}, c={c}, k={k}")
    if n - c < k:
        return 1.0
    # whichever product is shorter: over correct draws, or over the k drawn
    return 1.0 - (prod((n - k - i) / (n - i) for i in range(c)) if c < k else prod((n - c - i) / (n - i) for i in range(k)))

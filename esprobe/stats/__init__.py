"""Numbers from counts: pass@k, its intervals, paired differences, resampling.

Knows counts, shares and matrices of verdicts. Must not know the database or how a number is shown.
"""

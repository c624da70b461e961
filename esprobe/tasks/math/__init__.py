"""Competition problems whose answer is a formula, compared by the library math-verify.

Knows their records, their prompt and how the library is asked.
"""

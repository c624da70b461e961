"""Grade-school word problems whose answer is a number (Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems").

Knows their records, their prompt and their rule.
"""

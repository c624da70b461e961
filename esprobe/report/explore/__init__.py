"""The page to explore results in: one HTML file that shows two arms problem by problem, with real rollouts.

Knows the results and a page. Knows no task: a problem is shown by whatever its payload contains.
"""

"""The page to explore results in: one HTML file with all arms, their curves, trainings, and two arms problem by problem.

Knows the results and a page. Knows no task: a problem is shown by whatever its payload contains.
"""

"""The plots of a report. Only `report --plots` and `--plot` draw, so that nothing else loads matplotlib.

`save`, `compared`, `selection` and `budget` know which plots a report has and what their files are called, and `known` has the
names of all; `curves`, `values`, `difference`, `votes`, `problems` and `models` draw them; `findings` writes their titles, which
comparisons and the page begin with too; `style`, `labels`, `fonts` and `output` are how all of them look and where they go.
"""

"""Results as rows and numbers: what `report`, the plots, the page and `esprobe.results` show, read from the views.

Knows the views and the statistics. Must not know how anything is shown, nor models or engines.
"""

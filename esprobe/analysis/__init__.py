"""Results as rows and numbers: reading the views, the arms, comparing two of them.

Knows the views and the statistics. Must not know how anything is shown, nor models or engines.
"""

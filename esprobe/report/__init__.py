"""How results look: tables, comparisons, plots, and the page to explore them.

Knows rows and layout. Must not know models or engines, nor SQL: it takes what `analysis` has read.
"""

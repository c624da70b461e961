"""The data sets of the library reasoning-gym, each a task of its own: made by the library, kept as they were made.

Knows its entries, our prompt and how the library is asked for a score.
"""

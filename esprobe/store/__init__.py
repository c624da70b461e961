"""The results database: its tables and versions, writing to it, merging others into it, and what can be wrong with a file.

Knows SQLite. Must not know engines, models' files or how results are shown.
"""

"""The command line: commands, their options and presets, progress, and what an error becomes.

Knows words and exit statuses. Every command calls one function of another room and prints.
"""

"""Countdown: reach a target from a few numbers with + - * /, each used exactly once. See `task`."""

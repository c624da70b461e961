"""What a sweep consists of: its arms, their draws, and the units of work.

Knows arms and a task's name and wording. Must not know models' files, engines or the database.
"""

"""What is asked and how an answer is scored: tasks, their records, prompts and scorers.

Knows payloads, messages and texts. Must not know models, engines or the database.
"""

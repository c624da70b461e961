"""Token ids in, token ids out, under given weights: backends, one engine or several, and models' files.

Knows tokens, devices and checkpoints. Must not know texts, tasks or the database. A backend is imported only when it is used.
"""

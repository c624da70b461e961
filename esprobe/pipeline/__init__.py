"""The order of things: plan, generate, score, store. Also scoring again and importing rollouts made elsewhere.

Knows which room does what. Must not know how any of them does it.
"""

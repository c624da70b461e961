"""The weights of a perturbed model: base + σ·noise.

Knows tensors and random numbers. Must not know what a model computes or what its answers are worth.
"""

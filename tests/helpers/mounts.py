"""Small and read-only file systems, where the machine allows mounting them."""

import shutil
import subprocess


def mount(*options: str) -> bool:
    """Mounts as the program `mount` does; whether it could."""
    return shutil.which("mount") is not None and subprocess.run(["mount", *options], capture_output=True).returncode == 0

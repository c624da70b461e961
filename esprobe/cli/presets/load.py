"""Named settings of the sampling commands, as TOML: keys are long option names; a table has those of one command."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from esprobe.errors import UserError

COMMANDS = ("sample-temp", "sample-perturb", "train")
MAX_BYTES = 1 << 16  # the reader's time grows with the square of a key's length


def load_preset(name: str, command: str) -> dict[str, Any]:
    """Option name → value for `command`, from a shipped preset or a .toml file. Raises UserError."""
    folder = Path(str(files("esprobe.cli.presets")))
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise UserError(f"preset {path}: has more than {MAX_BYTES >> 10} KiB; a preset contains a few options")
        content = tomllib.loads(text.decode("utf-8-sig").replace("\r\n", "\n"))
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
        raise UserError(f"there is no preset {name!r}; use one of {known}, or the path of a .toml file") from None
    except (OSError, ValueError, RecursionError) as error:
        cause = error.strerror or error if isinstance(error, OSError) else error
        raise UserError(f"preset {str(path)!r}: cannot be read ({cause})") from None
    settings = {key: value for key, value in content.items() if key not in COMMANDS}
    section = content.get(command, {})
    if not isinstance(section, dict):
        raise UserError(f"preset {path}: {command} must be a table of options")
    if "preset" in settings | section:
        raise UserError(f"preset {path}: cannot name another preset")
    return settings | section

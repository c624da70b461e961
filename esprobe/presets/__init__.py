"""Named settings of the sampling commands, as TOML: keys are long option names; a table holds those of one command."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from esprobe.errors import UserError

COMMANDS = ("sample-temp", "sample-perturb")


def load_preset(name: str, command: str) -> dict[str, Any]:
    """Option name → value for `command`, from a shipped preset or a .toml file. Raises UserError."""
    folder = Path(str(files("esprobe.presets")))
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
        raise UserError(f"there is no preset {name!r}; known presets: {known}, or the path of a .toml file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"preset {path}: cannot be read ({error})") from None
    settings = {key: value for key, value in content.items() if key not in COMMANDS}
    section = content.get(command, {})
    if not isinstance(section, dict):
        raise UserError(f"preset {path}: {command} must be a table of options")
    return settings | section

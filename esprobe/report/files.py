"""How esprobe writes a file for people: whole or not at all, and never over something else; and how a name begins a file's.

Knows the operating system only. Databases are opened by SQLite alone and never come here.
"""

import errno
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path


def hyphened(name: str) -> str:
    """A name with a hyphen for whatever may mean something in a path: of its characters, letters, digits and dots stay."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name)


def slug(name: str) -> str:
    """What of a model's name can begin the name of a file everywhere: its last 60 characters, never nothing."""
    return hyphened(name)[-60:].strip("-.") or "model"


def write_whole(path: Path, content: bytes, follow: bool = True) -> None:
    """Writes the file, or leaves the one that is there as it is. Raises OSError.

    A file that is replaced keeps its mode, and its other names keep the old content. The user may name a link, a pipe or a
    device; where esprobe chose the name, `follow` is false: a link of that name is replaced, as any user may have made it.
    """
    there = _mode(path, follow)
    if there is not None and not stat.S_ISREG(there) and not stat.S_ISLNK(there):
        if not follow:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        path.write_bytes(content)
        return
    target = Path(os.path.realpath(path)) if follow else path
    kept = stat.S_IMODE(there) if there is not None and stat.S_ISREG(there) else None
    mine = os.access in os.supports_effective_ids
    if kept is not None and not os.access(target, os.W_OK, effective_ids=mine):  # the folder's permission would be enough
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    part = target.with_name(f".esprobe-{secrets.token_hex(8)}.part")  # a name that cannot be guessed
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if kept is None else 0o600), "wb") as file:
        try:
            file.write(content)
            file.flush()
            if kept is not None:
                os.chmod(part, kept)
            os.replace(part, target)
        except BaseException:
            part.unlink()
            raise


def _mode(path: Path, follow: bool) -> int | None:
    with suppress(FileNotFoundError):
        return os.stat(path, follow_symlinks=follow).st_mode
    return None

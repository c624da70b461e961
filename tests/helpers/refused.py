"""Files that are no results database, each made by a function of its path, and what the refusal of each says."""

import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from esprobe.store.store import Store


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table notes (text)")


def newer(path: Path) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
        connection.execute("pragma wal_checkpoint(truncate)")


def text(path: Path) -> None:
    path.write_text("these are my notes\n" * 100)


def torn(path: Path) -> None:
    Store(path).close()
    path.write_bytes(path.read_bytes()[:1000])


def shortened(path: Path) -> None:
    Store(path).close()
    path.write_bytes(path.read_bytes()[: 3 * 4096])


def zeros(path: Path) -> None:
    path.write_bytes(bytes(8192))


def garbage_after_the_header(path: Path) -> None:
    Store(path).close()
    data = path.read_bytes()
    path.write_bytes(data[:100] + random.Random(1).randbytes(len(data) - 100))


def foreign_in_the_middle_of_work(path: Path) -> None:
    """Another program's, with a log that its next start will take in."""
    with closing(sqlite3.connect(path.with_name("its.db"), isolation_level=None)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("create table notes (text)")
        for suffix in ("", "-wal"):
            shutil.copy(path.with_name(f"its.db{suffix}"), path.with_name(f"{path.name}{suffix}"))


def foreign_wal(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("create table alembic_version (version_num)")


def of_two_versions(path: Path) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("insert into alembic_version values ('0001')")


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


REFUSED = {
    foreign: "another program",
    foreign_wal: "another program",
    foreign_in_the_middle_of_work: "another program",
    newer: "newer esprobe",
    text: "cannot be read as a database",
    torn: "cannot be read as a database",
    shortened: "cannot be read as a database",
    zeros: "cannot be read as a database",
    garbage_after_the_header: "cannot be read as a database",
    of_two_versions: "alembic_version has 2 rows",
    folder: "not a file",
    pipe: "not a file",
}

"""The tables and views of a database that are esprobe's, with their columns. Knows names only."""

import sqlite3

from esprobe.analysis.reading import query
from esprobe.store.descriptions import DESCRIPTIONS


def columns_by_table(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Table or view → its columns, in the order of the descriptions; the user's own are left out."""
    return {table: [row[1] for row in query(connection, f"PRAGMA table_info({table})")[1]] for table in DESCRIPTIONS}

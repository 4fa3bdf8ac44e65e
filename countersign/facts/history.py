"""What earlier runs saw of credentials and the inventory does not say any more; carried from run to run in `history.parquet`.

The SQL file beside this one makes `history` from tonight's inventory and from what the last judged run left.
A night on which a scope could not be read takes nothing away from it.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from countersign.inventory import PARQUET, TABLES, sql_text

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

NAME = "history.parquet"
_COLUMNS = {
    "what": "VARCHAR",
    "provider": "VARCHAR",
    "scope": "VARCHAR",
    "kind": "VARCHAR",
    "subject": "VARCHAR",
    "since": "TIMESTAMP",
    "until": "TIMESTAMP",
}
"""`what` says what a row means:

`creation`: a credential of the identity `subject` (of the credential `subject`, where it is replaced in place) was made at `since`.
`off`: the credential `subject` was seen switched off at `since`.
`reading`: the kind was read wholly in the scope, first at `since` and last at `until`.
`gap`: it was not, for more than two days, between `since` and `until`.
"""


def recall(db: duckdb.DuckDBPyConnection, last: Path | None) -> None:
    """Make the views `last_credentials` and `last_history` of what the run in the evidence folder `last` left.

    None, or a folder that has none: they are empty. A run from before there was a history left its inventory only.
    """
    inventory = None if last is None else last / "inventory"
    _view(db, "last_credentials", None if inventory is None else inventory / "credentials.parquet", TABLES["credentials"])
    _view(db, "last_history", None if inventory is None else inventory / NAME, _COLUMNS)


def settle(db: duckdb.DuckDBPyConnection, database: Path) -> None:
    """Write what is known now beside the run's scratch database, and make the view `history` of it."""
    file = sql_text(_settled(database))
    db.execute(f"COPY history_tonight TO {file} ({PARQUET})")
    db.execute(f"CREATE OR REPLACE VIEW history AS SELECT * FROM read_parquet({file})")


def keep(database: Path, inventory: Path) -> None:
    """Put the `history` of a run's scratch database into its inventory, for the next run."""
    shutil.copyfile(_settled(database), inventory / NAME)


def _settled(database: Path) -> Path:
    return database.with_suffix(f".{NAME}")


def _view(db: duckdb.DuckDBPyConnection, name: str, file: Path | None, columns: dict[str, str]) -> None:
    if file is not None and file.exists():
        query = f"SELECT {', '.join(columns)} FROM read_parquet({sql_text(file)})"
    else:
        query = f"SELECT {', '.join(f'NULL::{kind} AS {column}' for column, kind in columns.items())} WHERE FALSE"
    db.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")

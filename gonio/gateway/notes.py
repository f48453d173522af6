"""What a kit notes for itself and sends to nobody: which phones may look, when it reminded, whether it shares.

Functions on an open database, for :class:`gonio.gateway.store.KitStore`, which calls them in a transaction.
"""

import sqlite3
from typing import Final

from pydantic import ValidationError

from gonio.messages import Preference

#: What a patient opts out of who wants nothing to leave the kit for now.
SHARING: Final = "sharing"


def read(db: sqlite3.Connection, name: str) -> str | None:
    """Give a note, or None."""
    row = db.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def keep(db: sqlite3.Connection, name: str, value: str) -> None:
    """Write a note in place of the one before."""
    db.execute("INSERT INTO note VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))


def mind_sharing(db: sqlite3.Connection, payload: str) -> None:
    """Note whether anything may leave the kit from now on but what is urgent; what is no preference changes nothing."""
    try:
        preference = Preference.model_validate_json(payload)
    except ValidationError:  # the clinic refuses it, with the reason
        return
    keep(db, SHARING, "off" if SHARING in preference.opt_outs else "on")


def shares_nothing(db: sqlite3.Connection) -> bool:
    """Tell whether the patient has paused sharing."""
    return read(db, SHARING) == "off"

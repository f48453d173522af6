"""The tables of the kit's database: one step for each version of the schema, never changed once released.

``PRAGMA user_version`` counts the steps that a database has had.
"""

from typing import Final

APPLICATION_ID: Final = 0x676F6E6B  # "gonk": this file is a gonio kit's and no other database

MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE kit (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        kit_id TEXT NOT NULL
    ) STRICT;
    CREATE TABLE outbox_head (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        outbox_id TEXT NOT NULL,
        last_sequence INTEGER NOT NULL CHECK (last_sequence >= 0)
    ) STRICT;
    CREATE TABLE sensor (
        segment TEXT PRIMARY KEY CHECK (segment IN ('thigh', 'shank')),
        address TEXT NOT NULL UNIQUE,
        family TEXT NOT NULL,
        name TEXT NOT NULL
    ) STRICT;
    CREATE TABLE record (
        record_id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        outbox_id TEXT NOT NULL,
        sequence INTEGER NOT NULL CHECK (sequence >= 1),
        boot_id TEXT NOT NULL,
        monotonic_ns INTEGER NOT NULL,
        captured_at TEXT NOT NULL,
        clock TEXT NOT NULL,
        schema_version INTEGER NOT NULL,
        key_id TEXT,
        signature TEXT,
        payload TEXT NOT NULL,
        UNIQUE (outbox_id, sequence)
    ) STRICT;
    CREATE TABLE outbox (
        record_id TEXT PRIMARY KEY REFERENCES record (record_id),
        sequence INTEGER NOT NULL UNIQUE,
        state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'acknowledged', 'rejected')),
        resends INTEGER NOT NULL DEFAULT 0,
        reason TEXT
    ) STRICT;
    CREATE INDEX outbox_pending ON outbox (sequence) WHERE state = 'pending';
    CREATE TABLE open_session (
        record_id TEXT PRIMARY KEY,
        boot_id TEXT NOT NULL,
        monotonic_ns INTEGER NOT NULL,
        captured_at TEXT NOT NULL,
        clock TEXT NOT NULL,
        head TEXT NOT NULL
    ) STRICT;
    CREATE TABLE open_rep (
        record_id TEXT NOT NULL REFERENCES open_session (record_id) ON DELETE CASCADE,
        number INTEGER NOT NULL CHECK (number >= 1),
        rep TEXT NOT NULL,
        PRIMARY KEY (record_id, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE open_curve (
        record_id TEXT NOT NULL REFERENCES open_session (record_id) ON DELETE CASCADE,
        first INTEGER NOT NULL CHECK (first >= 0),
        points TEXT NOT NULL,
        PRIMARY KEY (record_id, first)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE calibration (
        thigh TEXT NOT NULL,
        shank TEXT NOT NULL,
        side TEXT NOT NULL CHECK (side IN ('left', 'right')),
        calibration TEXT NOT NULL,
        taken_at TEXT NOT NULL,
        record_id TEXT NOT NULL,
        PRIMARY KEY (thigh, shank, side)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE outbox_numbered (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        record_id TEXT NOT NULL UNIQUE REFERENCES record (record_id),
        sequence INTEGER NOT NULL,
        priority INTEGER NOT NULL DEFAULT 1 CHECK (priority IN (0, 1, 2)),
        state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'acknowledged', 'rejected')),
        resends INTEGER NOT NULL DEFAULT 0,
        reason TEXT,
        seen_acknowledged INTEGER
    ) STRICT;
    INSERT INTO outbox_numbered (record_id, sequence, state, resends, reason)
        SELECT record_id, sequence, state, resends, reason FROM outbox ORDER BY sequence;
    DROP TABLE outbox;
    ALTER TABLE outbox_numbered RENAME TO outbox;
    CREATE INDEX outbox_pending ON outbox (priority, number) WHERE state = 'pending';
    CREATE TABLE compacted (
        outbox_id TEXT NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL CHECK (last >= first),
        PRIMARY KEY (outbox_id, first)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE inbox (
        record_id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        outbox_id TEXT NOT NULL,
        sequence INTEGER NOT NULL CHECK (sequence >= 1),
        created_at TEXT NOT NULL,
        schema_version INTEGER NOT NULL,
        key_id TEXT,
        signature TEXT,
        payload TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('received', 'applied', 'read', 'refused')),
        receipt_id TEXT NOT NULL
    ) STRICT;
    CREATE INDEX inbox_sequence ON inbox (outbox_id, sequence);
    """,
    """
    CREATE TABLE ended_outbox (
        outbox_id TEXT PRIMARY KEY,
        last_sequence INTEGER NOT NULL CHECK (last_sequence >= 0),
        saved INTEGER NOT NULL CHECK (saved >= 0),
        lost TEXT NOT NULL,
        ended_at TEXT NOT NULL,
        file TEXT NOT NULL
    ) STRICT;
    """,
    """
    CREATE INDEX record_unsigned ON record (record_id) WHERE signature IS NULL;
    CREATE TABLE forged (
        number INTEGER PRIMARY KEY,
        record_id TEXT NOT NULL UNIQUE,
        arrived_at TEXT NOT NULL,
        envelope TEXT NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE note (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT;
    CREATE INDEX record_kind ON record (kind);
    """,
)

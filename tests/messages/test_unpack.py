"""A publish is read in one step, or element by element where one of them is bad: with the same outcome."""

import json
import uuid
import zlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gonio.messages import BadRecord, unpack

GOOD: dict[str, Any] = {
    "record_id": str(uuid.UUID(int=1)),
    "kind": "session",
    "kit_id": "kit-001",
    "outbox_id": str(uuid.UUID(int=2)),
    "sequence": 1,
    "boot_id": str(uuid.UUID(int=3)),
    "monotonic_ns": 5,
    "captured_at": "2026-03-05T18:00:00.000+01:00",
    "clock": "synchronised",
    "schema_version": 1,
    "payload": "{}",
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["5", "\ud800", "{00000000-0000-0000-0000-000000000001}", "urn:uuid:" + GOOD["boot_id"], [], {}]),
    st.sampled_from([10**30, -1, 0, 1.0, "synchronised", "health", "2026-02-30T00:00:00.000+00:00"]),
)


@given(name=st.sampled_from([*GOOD, "key_id", "signature", "unknown"]), value=ODD)
def test_both_ways_of_reading_agree(name: str, value: object) -> None:
    item = GOOD | {name: value}

    def read(*items: object) -> object:
        return unpack(zlib.compress(json.dumps(items).encode()))[0]

    beside_a_bad_one = read(item, 0)
    assert read(item) == beside_a_bad_one
    if name in GOOD and value == GOOD[name]:
        assert not isinstance(beside_a_bad_one, BadRecord)

"""What goes first, and in which publishes: urgent records before all others, each once, nothing over its bound."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.gateway.parcels import BATCH_TEXT, Numbered, cut
from gonio.gateway.records import Draft, Priority
from gonio.gateway.store import KitStore
from gonio.messages import MAX_ENVELOPES, Envelope, Kind, new_record_id
from tests.broker import running_mosquitto
from tests.gateway.test_kit_uplink import CAPTURE, FAST, LIMIT_S, Clinic, commit, running, until, uplink_to

SEVERE = '{"pain_during":9}'
KINDS = (Kind.SESSION, Kind.CHECK_IN, Kind.MESSAGE)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KitStore]:
    with KitStore.open(tmp_path / "kit") as store:
        yield store


@pytest.mark.peer("mosquitto")
async def test_severe_pain_arrives_though_the_window_is_full(store: KitStore, tmp_path: Path) -> None:
    commit(store, 500)
    with running_mosquitto(tmp_path) as broker:
        clinic = Clinic(broker.port)
        clinic.answer = lambda _, __: []  # it is slow: nothing is acknowledged
        async with running(clinic.run()):
            await asyncio.wait_for(clinic.ready.wait(), LIMIT_S)
            async with running(uplink_to(store, broker.port).run()):
                await until(lambda: len(clinic.stored) >= FAST.window)
                urgent = Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, SEVERE, Priority.URGENT)
                store.commit(urgent)
                await until(lambda: urgent.record_id in clinic.stored)
                assert len(clinic.stored) <= FAST.window + 1 + 3 * FAST.window  # far from the end of the backlog


PLAIN = Envelope(
    record_id=uuid.UUID(int=1),
    kind=Kind.CHECK_IN,
    kit_id="kit-001",
    outbox_id=uuid.UUID(int=2),
    sequence=1,
    boot_id=CAPTURE.boot_id,
    monotonic_ns=CAPTURE.monotonic_ns,
    captured_at=CAPTURE.captured_at,
    clock=CAPTURE.clock,
    schema_version=1,
    payload="",
)


def record(number: int, kind: Kind, size: int) -> Numbered:
    return number, PLAIN.model_copy(update={"kind": kind, "payload": "x" * size})


RECORDS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 131_072), st.integers(0, 9)), max_size=250)


@given(RECORDS)
def test_every_record_is_in_one_publish_within_its_bounds(drawn: list[tuple[Kind, int, int]]) -> None:
    times = {number: sent for number, (_, _, sent) in enumerate(drawn)}
    records = [record(number, kind, size) for number, (kind, size, _) in enumerate(drawn)]
    parcels = list(cut(records, times.__getitem__))
    numbers = [number for parcel in parcels for number, _ in parcel]
    assert sorted(numbers) == sorted(times)
    for kind in KINDS:
        of_kind = [number for parcel in parcels for number, one in parcel if one.kind is kind]
        assert of_kind == sorted(of_kind)  # the order of each kind is kept
    for parcel in parcels:
        assert len({envelope.kind for _, envelope in parcel}) == 1
        assert len(parcel) <= max(1, min(MAX_ENVELOPES >> times[number] for number, _ in parcel))
        assert len(parcel) == 1 or sum(len(envelope.payload) for _, envelope in parcel) <= BATCH_TEXT


@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=300))
def test_small_records_take_as_few_publishes_as_their_kinds_allow(kinds: list[Kind]) -> None:
    parcels = list(cut([record(n, kind, 20) for n, kind in enumerate(kinds)], lambda _: 0))
    assert len(parcels) == sum(-(-kinds.count(kind) // MAX_ENVELOPES) for kind in set(kinds))
    assert parcels[0][0][1].kind is kinds[0] or len(parcels[0]) == MAX_ENVELOPES

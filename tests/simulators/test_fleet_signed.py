"""A fleet's records are signed with the keys that it enters in the clinic's book."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from gonio.cloud_sink.model import Delivery
from gonio.cloud_sink.schema import RECORDS
from gonio.cloud_sink.store import Store, open_store
from gonio.gateway.store import KitStore
from gonio.identity.keys import PublicKey
from gonio.identity.signatures import signed_by
from gonio.messages import Ack, Envelope
from gonio.simulators.fleet import run_fleet
from gonio.simulators.fleet_into import put_fleet
from gonio.simulators.fleet_key import SimulatedKey
from tests.broker import listening_sink, running_mosquitto
from tests.simulators import test_fleet_into
from tests.simulators.test_fleet import LIMIT_S, options, quiet


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/book.db") as book:
        yield book


def signers(store: Store) -> dict[str, set[str | None]]:
    """Give, by kit, the names of the keys that its stored records bear."""
    found: dict[str, set[str | None]] = {}
    with store._engine.connect() as connection:
        for kit_id, key_id in connection.execute(select(RECORDS.c.kit_id, RECORDS.c.key_id)):
            found.setdefault(kit_id, set()).add(key_id)
    return found


@pytest.mark.peer("mosquitto")
async def test_a_clinic_that_takes_signed_records_only_takes_all_of_a_fleets(tmp_path: Path, store: Store) -> None:
    with running_mosquitto(tmp_path) as broker:
        wanted = replace(options(tmp_path, broker.url, kits=3, records=15), book=f"sqlite:///{tmp_path}/book.db")
        async with listening_sink(store, broker, signed_only=True):
            result = await asyncio.wait_for(run_fleet(wanted, quiet), LIMIT_S)
    assert (result.records, result.acknowledged, result.rejected) == (45, 45, 0)
    keys = {}
    for directory in (tmp_path / "fleet" / "kits").iterdir():
        with KitStore.open(directory) as kit:
            keys[kit.kit_id] = kit.signing_key.key_id
    assert signers(store) == {kit_id: {key_id} for kit_id, key_id in keys.items()}
    assert {kit_id: [key.key_id for key in store.enrolment.keys(kit_id)] for kit_id in keys} == {
        kit_id: [key_id] for kit_id, key_id in keys.items()
    }


@pytest.mark.peer("mosquitto")
async def test_it_takes_nothing_of_a_fleet_whose_keys_nobody_entered(tmp_path: Path, store: Store) -> None:
    with running_mosquitto(tmp_path) as broker:
        wanted = options(tmp_path, broker.url, kits=2, records=5)
        async with listening_sink(store, broker, signed_only=True):
            result = await asyncio.wait_for(run_fleet(wanted, quiet), LIMIT_S)
    assert (result.records, result.acknowledged, result.rejected) == (10, 0, 10)
    found = store.audit()
    assert (found.records, found.quarantined) == (0, 10)


def test_what_is_put_straight_into_a_book_is_signed_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Envelope] = []
    real = Store.ingest_batch

    def ingest(store: Store, deliveries: list[Delivery], *, signed_only: bool = False) -> list[list[Ack]]:
        assert signed_only
        seen.extend(item for delivery in deliveries for item in delivery.items if isinstance(item, Envelope))
        return real(store, deliveries, signed_only=signed_only)

    monkeypatch.setattr(Store, "ingest_batch", ingest)
    wanted = test_fleet_into.options(tmp_path)
    assert put_fleet(wanted, quiet).stored == len(seen) == 120
    with open_store(wanted.book) as store:
        keys = {envelope.kit_id: store.enrolment.keys(envelope.kit_id) for envelope in seen}
        assert all(len(known) == 1 for known in keys.values())
        public = {kit_id: PublicKey(known.public_key) for kit_id, (known,) in keys.items()}
        assert all(signed_by(envelope, public[envelope.kit_id]) for envelope in seen)
        assert signers(store) == {kit_id: {key.key_id} for kit_id, key in public.items()}


def test_a_simulated_kit_has_the_same_key_again_and_every_other_another() -> None:
    keys = [SimulatedKey(seed) for seed in ("1", "1", "2")]
    assert keys[0].public == keys[1].public != keys[2].public
    assert PublicKey(keys[0].public).verifies(keys[1].sign(b"a"), b"a")
    assert not PublicKey(keys[0].public).verifies(keys[2].sign(b"a"), b"a")

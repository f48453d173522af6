"""What a session costs on a metered link: every byte that MQTT carries, both ways, without TLS and TCP."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gonio.gateway.records import Draft
from gonio.gateway.store import KitStore
from gonio.gateway.uplink import Uplink, UplinkTiming
from gonio.identity.broker import BrokerAddress
from gonio.identity.keys import SIGNATURE_BYTES, PublicKey
from gonio.identity.signatures import signed_by
from gonio.messages import Kind, new_record_id, pack, payload_text
from tests.broker import running_mosquitto
from tests.gateway.mqtt_proxy import running_proxy
from tests.gateway.test_kit_uplink import CAPTURE, LIMIT_S, Clinic, running
from tests.messages.test_messages import summary

#: The aim of the design, bytes.
MOST_UP = 1_800
#: The clinic's word on it, and the broker's.
MOST_DOWN = 200
#: A day without a session: a word of the keepalive and its answer each 120 s.
MOST_IDLE = 86_400 // 120 * 4


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KitStore]:
    with KitStore.open(tmp_path / "kit") as store:
        yield store


def commit_session(store: KitStore) -> None:
    payload = payload_text(summary().model_copy(update={"sitting_id": uuid.uuid4()}))
    store.commit(Draft(new_record_id(), Kind.SESSION, CAPTURE, 3, payload))


@pytest.mark.peer("mosquitto")
async def test_a_session_of_twelve_repetitions_costs_little(store: KitStore, tmp_path: Path) -> None:
    sessions = 10
    with running_mosquitto(tmp_path) as broker:
        clinic = Clinic(broker.port)
        async with running_proxy(broker.port) as proxy, running(clinic.run()):
            await asyncio.wait_for(clinic.ready.wait(), LIMIT_S)
            address = BrokerAddress.parse(f"mqtt://127.0.0.1:{proxy.port}")
            uplink = Uplink(store, address, store.kit_id, timing=UplinkTiming())
            async with running(uplink.run()):
                commit_session(store)
                assert await uplink.drain(LIMIT_S)
                up, down = proxy.up_bytes, proxy.down_bytes
                for _ in range(sessions):  # each by itself: the dearest way
                    commit_session(store)
                    assert await uplink.drain(LIMIT_S)
                up, down = proxy.up_bytes - up, proxy.down_bytes - down
    assert len(clinic.stored) == sessions + 1
    key = PublicKey(store.signing_key.public)
    assert all(signed_by(envelope, key) for envelope in clinic.stored.values())
    assert sessions * len(pack(store.envelopes([1]))) < up <= sessions * MOST_UP
    assert down <= sessions * MOST_DOWN


@pytest.mark.peer("mosquitto")
async def test_small_records_of_several_kinds_share_few_publishes(store: KitStore, tmp_path: Path) -> None:
    for _ in range(40):
        store.commit(Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, '{"pain_during":3}'))
        store.commit(Draft(new_record_id(), Kind.MESSAGE, CAPTURE, 1, '{"text":"It went well."}'))
    with running_mosquitto(tmp_path) as broker:
        clinic = Clinic(broker.port)
        async with running_proxy(broker.port) as proxy, running(clinic.run()):
            await asyncio.wait_for(clinic.ready.wait(), LIMIT_S)
            address = BrokerAddress.parse(f"mqtt://127.0.0.1:{proxy.port}")
            uplink = Uplink(store, address, store.kit_id, timing=UplinkTiming())
            async with running(uplink.run()):
                assert await uplink.drain(LIMIT_S)
    assert len(clinic.stored) == 80
    assert uplink.status.published == 2
    assert proxy.up_bytes / 80 < SIGNATURE_BYTES + 45  # bytes a record


@pytest.mark.peer("mosquitto")
async def test_an_idle_connection_costs_what_its_keepalive_says(store: KitStore, tmp_path: Path) -> None:
    assert UplinkTiming().keepalive_s == 120
    assert MOST_IDLE == 2_880
    with running_mosquitto(tmp_path) as broker:
        async with running_proxy(broker.port) as proxy:
            address = BrokerAddress.parse(f"mqtt://127.0.0.1:{proxy.port}")
            uplink = Uplink(store, address, store.kit_id, timing=UplinkTiming(keepalive_s=1))
            async with running(uplink.run()):
                with suppress(TimeoutError):
                    async with asyncio.timeout(LIMIT_S):
                        while uplink.status.state != "connected":  # noqa: ASYNC110 - a value to look at
                            await asyncio.sleep(0.01)
                up, down = proxy.up_bytes, proxy.down_bytes
                async with asyncio.timeout(LIMIT_S):
                    while proxy.down_bytes - down < 6:  # noqa: ASYNC110 - likewise
                        await asyncio.sleep(0.01)
                assert proxy.up_bytes - up == proxy.down_bytes - down == 6  # three times 2 bytes each way
                assert uplink.status.connections == 1

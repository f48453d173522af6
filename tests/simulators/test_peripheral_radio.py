"""The radio between virtual devices."""

import asyncio
import contextlib

import pytest
from bumble import hci
from bumble.device import Connection, Device
from hypothesis import given
from hypothesis import strategies as st

from gonio.simulators.radio import SENSOR_BUFFER, AirConditions, Radio, random_address

SENSOR, KIT = "D4:22:CD:51:4D:01", "F0:00:00:00:00:01"


@pytest.mark.parametrize("bad", [{"payload_loss": 1.1}, {"payload_loss": -0.1}, {"delay_s": -1.0}, {"jitter_s": -1.0}])
def test_conditions_must_be_possible(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        AirConditions(**bad)  # type: ignore[arg-type]


@given(seed=st.integers(0, 2**32), share=st.floats(0, 1))
def test_losses_are_as_many_as_asked_for_and_repeatable(seed: int, share: float) -> None:
    outcomes = []
    for _ in range(2):
        radio = Radio(seed=seed)
        radio.set_conditions(SENSOR, AirConditions(payload_loss=share))
        outcomes.append([radio.loses_payload(SENSOR) for _ in range(500)])
        assert radio.payloads_lost[SENSOR] == sum(outcomes[-1])
    assert outcomes[0] == outcomes[1]
    assert abs(sum(outcomes[0]) / 500 - share) < 0.15
    assert share < 1 or all(outcomes[0])
    assert share > 0 or not any(outcomes[0])


async def connected(radio: Radio) -> tuple[Device, Device, Connection]:
    sensor, kit = await radio.device("sensor", SENSOR), await radio.device("kit", KIT)
    await sensor.start_advertising(advertising_interval_min=20, advertising_interval_max=20)
    connection = await kit.connect(random_address(SENSOR), timeout=None)
    return sensor, kit, connection


async def test_a_dropped_link_is_a_supervision_timeout_at_both_ends() -> None:
    radio = Radio()
    sensor, kit, connection = await connected(radio)
    await asyncio.sleep(0.01)
    reasons: list[int] = []
    connection.on(Connection.EVENT_DISCONNECTION, reasons.append)
    (other,) = sensor.connections.values()
    other.on(Connection.EVENT_DISCONNECTION, reasons.append)
    radio.drop(SENSOR)
    await asyncio.sleep(0.01)
    assert reasons == [hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR] * 2
    assert not sensor.connections
    assert not kit.connections
    await radio.remove(sensor)
    await radio.remove(kit)


async def test_what_is_in_the_air_when_the_link_drops_never_arrives_on_the_next() -> None:
    radio = Radio()
    sensor, kit, connection = await connected(radio)
    radio.stall(SENSOR, 0.15)
    reading = asyncio.create_task(connection.gatt_client.read_value(1))
    await asyncio.sleep(0.01)
    assert sum(map(len, radio._lanes.values())) == 1
    radio.drop(SENSOR)
    with contextlib.suppress(asyncio.CancelledError):  # bumble's way to say so
        await reading
    await sensor.start_advertising(advertising_interval_min=20, advertising_interval_max=20)
    again = await kit.connect(random_address(SENSOR), timeout=None)
    await asyncio.sleep(0.25)
    assert sum(map(len, radio._lanes.values())) == 0
    assert len(await again.gatt_client.read_value(1)) == 2  # the first service's UUID
    await radio.remove(sensor)
    await radio.remove(kit)


async def test_a_sensor_whose_air_stalls_for_long_drops_what_its_buffer_cannot_hold() -> None:
    radio = Radio()
    sensor, kit, _ = await connected(radio)
    await asyncio.sleep(0.01)
    (towards_kit,) = sensor.connections.values()
    radio.stall(SENSOR, 3600.0)
    for _ in range(SENSOR_BUFFER):
        assert not radio.loses_payload(SENSOR)
        sensor.send_l2cap_pdu(towards_kit.handle, 0x3F, b"x")
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    assert radio.loses_payload(SENSOR)
    await radio.remove(sensor)
    await radio.remove(kit)


async def test_a_removed_device_is_gone_from_the_air() -> None:
    radio = Radio()
    sensor, kit, _ = await connected(radio)
    await radio.remove(sensor)
    await asyncio.sleep(0.01)
    assert not kit.connections
    assert len(radio.controllers) == 1
    await radio.remove(kit)
    assert not radio.controllers

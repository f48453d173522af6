"""Virtual Movesense sensors as any Bluetooth client sees them."""

import asyncio

import pytest
from bleak.exc import BleakGATTProtocolError

from gonio.drivers.codec import decode_packet
from tests.simulators.bench import Bench, bench


async def _hear(one: Bench) -> asyncio.Queue[bytes]:
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    await one.client.start_notify(one.uuid("data"), lambda _, data: heard.put_nowait(bytes(data)))
    return heard


async def _ask(one: Bench, heard: asyncio.Queue[bytes], command: bytes) -> dict[str, object]:
    """Write a command and give its result."""
    await one.client.write_gatt_char(one.uuid("command"), command, response=True)
    return decode_packet(one.profile, "data", await asyncio.wait_for(heard.get(), 5))


async def test_a_hello_tells_who_it_is() -> None:
    async with bench("movesense_gsp") as one:
        heard = await _hear(one)
        answer = await _ask(one, heard, b"\x00\x09")
        assert (answer["reference"], answer["status"], answer["app_version"]) == (9, 200, "2.3.1")
        assert str(answer["product_name"]).endswith("SIM")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (b"\x01\x01/Meas/IMU6/26", 200),
        (b"\x01\x01/Meas/IMU6/833", 400),
        (b"\x01\x01/Meas/Acc/52", 404),
        (b"\x01\x02/Meas/IMU6/52", 404),
        (b"\x01\x01/Meas/\xff", 404),
        (b"\x02\x01", 404),
        (b"\x05\x01", 501),
    ],
)
async def test_commands_are_answered_with_a_status(command: bytes, status: int) -> None:
    async with bench("movesense_gsp") as one:
        heard = await _hear(one)
        assert (await _ask(one, heard, command))["status"] == status
        with pytest.raises(BleakGATTProtocolError):
            await one.client.write_gatt_char(one.uuid("command"), b"\x00", response=True)


@pytest.mark.parametrize(("rate_hz", "lengths"), [(52, [102]), (104, [158, 42])])
async def test_a_packet_comes_in_as_many_parts_as_it_needs(rate_hz: int, lengths: list[int]) -> None:
    async with bench("movesense_gsp", speed=5.0) as one:
        heard = await _hear(one)
        await _ask(one, heard, b"\x01\x01" + f"/Meas/IMU6/{rate_hz}".encode())
        one.world.begin_motion()
        async with asyncio.timeout(10):
            parts = [await heard.get() for _ in range(4)]
        assert [len(data) for data in parts] == lengths * (4 // len(lengths))
        assert [data[0] for data in parts] == list(range(2, 2 + len(lengths))) * (4 // len(lengths))


async def test_a_subscription_is_had_once_and_ends_with_the_link() -> None:
    async with bench("movesense_gsp") as one:
        heard = await _hear(one)
        subscribe = b"\x01\x01/Meas/IMU6/52"
        assert (await _ask(one, heard, subscribe))["status"] == 200
        assert (await _ask(one, heard, subscribe))["status"] == 409
        await one.client.disconnect()
        await one.client.connect()
        heard = await _hear(one)
        assert one.sensor.firmware.stream_role() is None
        assert (await _ask(one, heard, subscribe))["status"] == 200
        assert (await _ask(one, heard, b"\x02\x01"))["status"] == 200

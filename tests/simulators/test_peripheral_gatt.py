"""Virtual sensors as any Bluetooth client sees them: their services, commands and answers."""

import asyncio
import struct

import numpy as np
import pytest
from bleak import BleakClient
from bleak.exc import BleakError, BleakGATTProtocolError

from gonio.drivers.codec import decode_packet
from gonio.errors import UsageError
from gonio.firmware_profiles import get_profile
from gonio.signal.consts import FloatArray
from gonio.simulators.bleak_backend import backends
from gonio.simulators.peripheral import VirtualSensor, sensor_address
from gonio.simulators.peripheral_firmware import Surroundings
from gonio.simulators.peripheral_wit import WitFirmware
from gonio.simulators.radio import Radio
from gonio.simulators.world import World
from tests.simulators.bench import Bench, bench, feed, until


@pytest.mark.parametrize("family", ["movella_dot", "witmotion_ble5"])
async def test_services_are_those_of_the_profile(family: str) -> None:
    async with bench(family) as one:
        for service in one.profile.gatt.values():
            for described in service.characteristics.values():
                found = one.client.services.get_characteristic(described.uuid)
                assert found is not None
                assert found.service_uuid == service.uuid
                assert set(found.properties) == set(described.properties)


async def test_a_dot_tells_who_it_is() -> None:
    async with bench("movella_dot") as one:
        info = await one.read("device_info")
        assert info["mac"] == sensor_address("movella_dot", 1)
        assert info["firmware_version"] == "3.0.0"
        assert info["product_code"] == "XS-T02"
        assert (await one.read("battery"))["battery_percent"] == 87
        assert (await one.read("device_control"))["output_rate_hz"] == 60


async def test_a_dot_applies_only_the_fields_that_are_visited() -> None:
    async with bench("movella_dot") as one:
        await one.command("set_output_rate", rate_hz=20)
        state = await one.read("device_control")
        assert state["output_rate_hz"] == 20
        assert state["timeout_x_min"] == 10  # not visited, though the bytes were 0
        unvisited = bytes(32)
        await one.client.write_gatt_char(one.uuid("device_control"), unvisited, response=True)
        assert (await one.read("device_control"))["output_rate_hz"] == 20


@pytest.mark.parametrize(
    ("role", "data"),
    [
        ("control", "0101"),  # cut
        ("control", "020115"),  # another type
        ("control", "010111"),  # a mode that only the maker's library reads
        ("control", "010105"),  # a mode without acceleration
        ("device_control", "10" + "00" * 23 + "3700" + "00" * 6),  # 55 Hz
        ("device_control", "10"),  # cut
    ],
)
async def test_a_dot_refuses_what_it_cannot_do_and_stays_as_it_was(role: str, data: str) -> None:
    async with bench("movella_dot") as one:
        before = await one.read("device_control"), await one.read("control")
        with pytest.raises(BleakGATTProtocolError):
            await one.client.write_gatt_char(one.uuid(role), bytes.fromhex(data), response=True)
        assert (await one.read("device_control"), await one.read("control")) == before


async def test_a_dot_streams_between_start_and_stop_to_whoever_listens() -> None:
    async with bench("movella_dot") as one:
        one.world.begin_motion()
        heard = await one.listen("medium_payload")
        await asyncio.sleep(0.1)
        assert heard == []
        await one.command("start_measurement")
        assert bytes(await one.client.read_gatt_char(one.uuid("control"))) == bytes((1, 1, 21))
        await until(heard, 21)
        await one.command("stop_measurement")
        count = len(heard)
        assert count > 20
        assert {len(value) for value in heard} == {40}
        assert all(value[28:] == bytes(12) for value in heard)  # zeros after the 28 bytes of mode 21
        steps = np.diff([struct.unpack_from("<I", value)[0] for value in heard])
        assert set(steps.tolist()) <= {16666, 16667}
        await asyncio.sleep(0.1)
        assert len(heard) == count


async def test_a_dot_goes_on_measuring_when_its_link_is_lost() -> None:
    async with bench("movella_dot") as one:
        one.world.begin_motion()
        heard = await one.listen("medium_payload")
        await one.command("start_measurement")
        await until(heard)
        one.radio.drop(one.sensor.address)
        await asyncio.sleep(0.05)
        assert not one.client.is_connected
        last = struct.unpack_from("<I", heard[-1])[0]
        await one.client.connect()
        assert bytes(await one.client.read_gatt_char(one.uuid("control"))) == bytes((1, 1, 21))
        heard = await one.listen("medium_payload")  # and no start
        await until(heard)
        assert struct.unpack_from("<I", heard[0])[0] > last


async def test_the_long_payload_goes_to_its_own_characteristic() -> None:
    async with bench("movella_dot") as one:
        one.world.begin_motion()
        heard = await one.listen("long_payload")
        await one.command("start_measurement", payload_mode=26)
        await until(heard, 3)
        assert {len(value) for value in heard} == {63}
        decoded = decode_packet(one.profile, "long_payload", heard[0], {"payload_mode": 26})
        assert decoded["acceleration_m_s2"] == [0.0, 0.0, pytest.approx(9.80665)]


async def test_a_witmotion_streams_to_whoever_listens_and_changes_its_rate_only_unlocked() -> None:
    async with bench("witmotion_ble5") as one:
        one.world.begin_motion()
        heard = await one.listen("data")
        await until(heard, 2)
        assert {len(value) for value in heard} == {20}  # 10 Hz as delivered: a frame each
        await one.command("set_rate", rate_hz=100)
        heard.clear()
        await until(heard, 2)
        assert {len(value) for value in heard} == {20}  # it was locked
        await one.command("unlock")
        await one.command("set_rate", rate_hz=100)
        heard.clear()
        await until(heard, 2)
        assert {len(value) for value in heard} == {80}  # four frames each
        assert all(value[i : i + 2] == b"\x55\x61" for value in heard for i in range(0, 80, 20))


async def test_a_witmotion_answers_register_reads_in_its_stream() -> None:
    async with bench("witmotion_ble5") as one:
        heard = await one.listen("data")
        for command in ("read_battery", "read_version", "read_serial"):
            await one.command(command)
        await until(heard, 3)
        battery, version, serial = (decode_packet(one.profile, "data", value) for value in heard)
        assert battery["battery_voltage_v"] == 3.95
        assert battery["battery_percent_table"] == 90
        assert "firmware_raw" in version
        assert str(serial["serial"]).startswith("SIM")


def test_an_unlock_of_a_witmotion_expires_after_ten_seconds() -> None:
    now_s = 0.0
    around = Surroundings("E5:57:49:54:4D:01", now_s=lambda: now_s)
    firmware = WitFirmware(get_profile("witmotion_ble5"), around)
    firmware.write("command", bytes.fromhex("FFAA6988B5"))
    now_s = 10.5
    firmware.write("command", bytes.fromhex("FFAA030900"))
    assert firmware.rate_hz == 10
    firmware.write("command", bytes.fromhex("FFAA6988B5"))
    firmware.write("command", bytes.fromhex("FFAA030900"))
    assert firmware.rate_hz == 100
    firmware.write("command", b"\xff\xaa")  # no command: ignored
    assert firmware.rate_hz == 100


async def test_a_cut_mtu_cuts_the_payload_as_on_a_real_sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gonio.simulators.bleak_backend._OFFERED_MTU", 23)
    async with bench("movella_dot") as one:
        one.world.begin_motion()
        heard = await one.listen("medium_payload")
        await one.command("start_measurement")
        await until(heard, 3)
        assert {len(value) for value in heard} == {20}


async def test_operations_on_a_lost_link_fail_at_once() -> None:
    async with bench("movella_dot") as one:
        one.radio.stall(one.sensor.address, 60.0)
        pending = asyncio.create_task(one.client.read_gatt_char(one.uuid("battery")))
        await asyncio.sleep(0.05)
        one.radio.drop(one.sensor.address)
        with pytest.raises(BleakGATTProtocolError):
            await pending
        with pytest.raises(BleakError, match="Service Discovery has not been performed yet"):
            await one.client.read_gatt_char(one.uuid("battery"))


async def test_a_cancelled_read_does_not_give_its_answer_to_the_next() -> None:
    async with bench("movella_dot") as one:
        one.radio.stall(one.sensor.address, 0.1)
        first = asyncio.create_task(one.client.read_gatt_char(one.uuid("device_info")))
        await asyncio.sleep(0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert len(await one.client.read_gatt_char(one.uuid("battery"))) == 2


async def test_a_family_without_a_virtual_sensor_is_refused() -> None:
    with pytest.raises(UsageError, match="there are movella_dot, witmotion_ble5"):
        VirtualSensor(Radio(), get_profile("witmotion_wtvb01_bt50"), feed, World(), duration_s=1.0)


async def test_a_rate_that_the_family_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match="rate_hz"):
        VirtualSensor(Radio(), get_profile("movella_dot"), feed, World(), duration_s=1.0, rate_hz=100.0)


async def test_a_feed_that_fails_is_told_when_the_sensor_is_left() -> None:
    def broken(_t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        raise ZeroDivisionError

    world, radio, profile = World(10.0), Radio(), get_profile("movella_dot")
    central = await radio.device("phone", "F0:00:00:00:00:02")
    _, client_backend = backends(central)

    async def run() -> None:
        async with (
            VirtualSensor(radio, profile, broken, world, duration_s=1.0) as sensor,
            BleakClient(sensor.address, backend=client_backend) as client,
        ):
            one = Bench(world, radio, profile, sensor, client)
            await one.listen("medium_payload")
            world.begin_motion()
            await one.command("start_measurement")
            await asyncio.sleep(0.05)

    with pytest.raises(ExceptionGroup) as told:
        await run()
    assert told.group_contains(ZeroDivisionError)
    await radio.remove(central)

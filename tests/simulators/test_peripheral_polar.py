"""Virtual Polar sensors as any Bluetooth client sees them: features, settings, refusals, and what outlives a link."""

import asyncio

import pytest
from bleak.exc import BleakGATTProtocolError

from gonio.drivers.codec import decode_packet
from gonio.simulators.peripheral_polar import PolarFirmware
from tests.simulators.bench import Bench, bench

ACC_52 = "0202000134000101100002010800040103"
GYRO_52 = "02050001340001011000 0201d007040103".replace(" ", "")


async def _hear(one: Bench, role: str) -> asyncio.Queue[bytes]:
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    await one.client.start_notify(one.uuid(role), lambda _, data: heard.put_nowait(bytes(data)))
    return heard


async def _ask(one: Bench, heard: asyncio.Queue[bytes], command: str) -> dict[str, object]:
    """Write a command and give its answer."""
    await one.client.write_gatt_char(one.uuid("control_point"), bytes.fromhex(command), response=True)
    return decode_packet(one.profile, "control_point", await asyncio.wait_for(heard.get(), 5))


def _firmware(one: Bench) -> PolarFirmware:
    assert isinstance(one.sensor.firmware, PolarFirmware)
    return one.sensor.firmware


@pytest.mark.parametrize(
    ("family", "supports", "firmware"),
    [
        ("polar_pmd", ["ppg", "acc", "ppi", "gyro", "mag", "sdk_mode"], "2.2.3"),
        ("polar_oh1", ["ppg", "acc", "ppi"], "2.1.15"),
        ("polar_h10", ["ecg", "acc"], "3.1.1"),
    ],
)
async def test_a_sensor_tells_what_it_can(family: str, supports: list[str], firmware: str) -> None:
    async with bench(family) as one:
        assert (await one.read("control_point"))["supports"] == supports
        assert (await one.read("battery"))["battery_percent"] == 87
        assert (await one.read("firmware_revision"))["firmware_revision"] == firmware
        with pytest.raises(BleakGATTProtocolError):
            await one.client.write_gatt_char(one.uuid("control_point"), b"\x01\x02", response=True)  # nobody listens


async def test_settings_on_offer_depend_on_the_sdk_mode() -> None:
    async with bench("polar_pmd") as one:
        heard = await _hear(one, "control_point")
        assert (await _ask(one, heard, "0105"))["settings"] == {
            "rate_hz": [52],
            "resolution_bits": [16],
            "range_dps": [2000],
            "channels": [3],
        }
        in_sdk_mode = {
            "rate_hz": [26, 52, 104, 208, 416],
            "resolution_bits": [16],
            "range_g": [2, 4, 8, 16],
            "channels": [3],
        }
        assert (await _ask(one, heard, "0402"))["settings"] == in_sdk_mode
        assert (await _ask(one, heard, "0209"))["status_name"] == "success"
        assert (await _ask(one, heard, "0102"))["settings"] == in_sdk_mode


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("0700", "invalid_op_code"),
        ("0206", "invalid_measurement_type"),
        ("0104", "invalid_measurement_type"),
        ("02", "invalid_length"),
        ("030200", "invalid_length"),
        ("0202", "invalid_parameter"),
        ("020200013400", "invalid_parameter"),
        (ACC_52[:-2], "invalid_parameter"),
        (ACC_52.replace("3400", "3300", 1), "invalid_sample_rate"),
        (ACC_52.replace("1000", "1800", 1), "invalid_resolution"),
        (ACC_52.replace("0800", "0900", 1), "invalid_range"),
        (ACC_52[:-2] + "02", "invalid_number_of_channels"),
        ("0302", "already_in_state"),
        ("0309", "already_in_state"),
    ],
)
async def test_what_it_cannot_do_is_refused_by_name_and_changes_nothing(command: str, status: str) -> None:
    async with bench("polar_pmd") as one:
        heard = await _hear(one, "control_point")
        answer = await _ask(one, heard, command)
        assert answer["status_name"] == status
        assert not _firmware(one).running
        assert not _firmware(one).sdk_mode


async def test_it_streams_while_both_run_and_stays_out_of_the_sdk_mode_meanwhile() -> None:
    async with bench("polar_pmd", speed=20.0) as one:
        heard, frames = await _hear(one, "control_point"), await _hear(one, "data")
        answer = await _ask(one, heard, ACC_52)
        assert answer["status"] == 0
        assert "factor" not in answer  # firmware 2 sends mg
        assert one.sensor.firmware.stream_role() is None
        assert (await _ask(one, heard, GYRO_52))["factor"] == 2000 / 32768
        assert (await _ask(one, heard, GYRO_52))["status_name"] == "already_in_state"
        assert (await _ask(one, heard, "0209"))["status_name"] == "invalid_state"
        one.world.begin_motion()
        async with asyncio.timeout(10):
            decoded = [decode_packet(one.profile, "data", await frames.get()) for _ in range(4)]
        assert [frame["measurement"] for frame in decoded] == ["acc", "gyro"] * 2
        assert {frame["sample_count"] for frame in decoded} == {60}  # lying still compresses well
        assert (await _ask(one, heard, "0302"))["status"] == 0
        assert one.sensor.firmware.stream_role() is None


async def test_in_the_charger_it_stops_by_itself_and_says_so() -> None:
    async with bench("polar_pmd") as one:
        heard = await _hear(one, "control_point")
        await _ask(one, heard, ACC_52)
        await _ask(one, heard, GYRO_52)
        one.sensor.tell(_firmware(one).put_into_charger())
        told = decode_packet(one.profile, "control_point", await asyncio.wait_for(heard.get(), 5))
        assert told == {"event": "streams_stopped", "measurements": ["acc", "gyro"]}
        assert one.sensor.firmware.stream_role() is None
        assert (await _ask(one, heard, ACC_52))["status_name"] == "device_in_charger"
        assert _firmware(one).put_into_charger() == []


async def test_what_was_started_outlives_the_link() -> None:
    async with bench("polar_h10") as one:
        heard = await _hear(one, "control_point")
        assert (await _ask(one, heard, "02020001c8000101100002010800"))["status"] == 0
        await one.client.disconnect()
        assert _firmware(one).running == {2: 200}
        await one.client.connect()
        heard = await _hear(one, "control_point")
        assert (await _ask(one, heard, "02020001c8000101100002010800"))["status_name"] == "already_in_state"
        assert (await _ask(one, heard, "0302"))["status"] == 0

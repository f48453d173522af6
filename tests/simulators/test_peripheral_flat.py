"""Virtual sensors with flat packets, as any Bluetooth client sees them: Thingy:52, SensorTag, micro:bit, gonio-ref."""

import asyncio
import struct

import numpy as np
import pytest
from bleak.exc import BleakGATTProtocolError

from gonio.drivers.codec import decode_packet
from gonio.signal.consts import STANDARD_GRAVITY, FloatArray
from gonio.simulators.peripheral import sensor_name, simulated_families
from tests.simulators.bench import Bench, bench, until

FLAT = ["gonio_ref", "nordic_thingy52", "ti_cc2650", "bbc_microbit", "infinitime", "st_bluest"]


@pytest.mark.parametrize("family", FLAT)
async def test_services_are_those_of_the_profile(family: str) -> None:
    async with bench(family) as one:
        for described in one.profile.characteristics.values():
            found = one.client.services.get_characteristic(described.uuid)
            assert found is not None
            assert set(found.properties) == set(described.properties)


@pytest.mark.parametrize("family", simulated_families())
def test_a_name_fits_its_advertisement_and_says_that_it_is_simulated(family: str) -> None:
    name = sensor_name(family, 255)
    assert "SIM" in name
    assert len(name) <= 21


def spinning(t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give 3 g on x and 300 degrees a second about z."""
    return np.tile([3 * STANDARD_GRAVITY, 0.0, 0.0], (len(t_s), 1)), np.tile([0.0, 0.0, np.radians(300)], (len(t_s), 1))


async def refused(one: Bench, role: str, data: str) -> int:
    with pytest.raises(BleakGATTProtocolError) as told:
        await one.client.write_gatt_char(one.uuid(role), bytes.fromhex(data), response=True)
    return int(told.value.code)


# --- Thingy:52 --------------------------------------------------------------------------------------------------------


async def test_a_thingy_streams_to_whoever_listens_at_the_rate_that_is_configured() -> None:
    async with bench("nordic_thingy52", moved_by=spinning) as one:
        one.world.begin_motion()
        heard = await one.listen("raw_motion")
        assert (await one.read("motion_config"))["motion_freq_hz"] == 10  # as delivered
        await until(heard, 3)
        await one.command("set_rate", rate_hz=200)
        assert (await one.read("motion_config"))["motion_freq_hz"] == 200
        assert one.sensor.firmware.rate_hz == 200
        await until(heard, len(heard) + 100)
        decoded = decode_packet(one.profile, "raw_motion", heard[-1])
        assert decoded["accel_g"] == [2.0, 0.0, 0.0]  # it measures no more
        assert decoded["gyro_dps"] == [0.0, 0.0, 300.0]


async def test_a_thingy_tells_who_it_is_and_asks_for_an_mtu() -> None:
    async with bench("nordic_thingy52") as one:
        assert await one.read("firmware_version") == {"firmware_version": "2.2.0"}
        assert (await one.read("battery"))["battery_percent"] == 87
        await one.command("request_mtu", perform=1, mtu=100)
        assert (await one.read("mtu_request"))["mtu"] == 100
        await one.command("fast_connection")
        assert (await one.read("connection_parameters"))["max_interval_ms"] == 7.5


@pytest.mark.parametrize(
    ("role", "data"),
    [
        ("motion_config", "6400f401f401c90000"),  # 201 Hz
        ("motion_config", "6400f401f401040000"),  # 4 Hz
        ("motion_config", "6300f401f401640000"),
        ("motion_config", "6400f401f401640002"),
        ("motion_config", "6400f401f4016400"),  # cut
        ("mtu_request", "011501"),  # 277
        ("mtu_request", "021400"),
        ("connection_parameters", "0c00060000009001"),  # shortest above longest
    ],
)
async def test_a_thingy_refuses_what_is_out_of_bounds_and_stays_as_it_was(role: str, data: str) -> None:
    async with bench("nordic_thingy52") as one:
        before = await one.read(role)
        assert await refused(one, role, data) in (0x80, 0x0D)
        assert await one.read(role) == before


# --- SensorTag --------------------------------------------------------------------------------------------------------


async def test_a_sensortag_sends_the_axes_that_are_on_in_the_range_that_is_configured() -> None:
    async with bench("ti_cc2650", moved_by=spinning) as one:
        one.world.begin_motion()
        heard = await one.listen("movement")
        await one.command("set_rate", rate_hz=10)
        await asyncio.sleep(0.1)
        assert heard == []  # nothing is on
        await one.command("configure", range_g=16)
        await until(heard)
        decoded = decode_packet(one.profile, "movement", heard[-1], {"range_g": 16})
        assert decoded["accel_g"] == pytest.approx([3.0, 0.0, 0.0], abs=0.0005)
        assert decoded["gyro_dps"] == pytest.approx([0.0, 0.0, 250.0], abs=0.01)  # the end of its range
        await one.command("configure", range_g=2)
        await asyncio.sleep(0.05)  # for one that was on its way
        await until(heard, len(heard) + 1)
        decoded = decode_packet(one.profile, "movement", heard[-1], {"range_g": 2})
        assert decoded["accel_g"] == pytest.approx([2.0, 0.0, 0.0], abs=0.0005)
        await one.command("configure_gyro")
        await asyncio.sleep(0.05)
        await until(heard, len(heard) + 1)
        assert decode_packet(one.profile, "movement", heard[-1])["accel_g"] == [0.0, 0.0, 0.0]
        await one.command("switch_off")
        await asyncio.sleep(0.05)
        count = len(heard)
        await asyncio.sleep(0.1)
        assert len(heard) == count


async def test_a_sensortag_is_no_faster_than_ten_a_second() -> None:
    async with bench("ti_cc2650") as one:
        assert await refused(one, "movement_period", "09") == 0x80
        assert (await one.read("movement_period"))["period_ms"] == 1000  # as delivered
        await one.command("set_period", period_ms=100)
        assert (await one.read("movement_period"))["period_ms"] == 100


# --- micro:bit, BlueST ------------------------------------------------------------------------------------------------


async def test_a_microbit_sends_acceleration_alone_and_has_eight_periods() -> None:
    async with bench("bbc_microbit", moved_by=spinning) as one:
        one.world.begin_motion()
        heard = await one.listen("accelerometer")
        await one.command("set_rate", rate_hz=100)
        await until(heard, 3)
        assert {len(value) for value in heard} == {6}
        assert decode_packet(one.profile, "accelerometer", heard[-1])["accel_g"] == [2.0, 0.0, 0.0]
        assert await refused(one, "accelerometer_period", "1e00") == 0x80  # 30 ms
        assert (await one.read("accelerometer_period"))["period_ms"] == 10


async def test_a_sensortile_counts_its_ticks() -> None:
    async with bench("st_bluest") as one:
        one.world.begin_motion()
        heard = await one.listen("motion")
        await until(heard, 100)
        ticks = [struct.unpack_from("<H", value)[0] for value in heard]
        steps = np.diff(np.array(ticks) * 0.008)
        assert steps.mean() == pytest.approx(0.02, abs=0.001)
        assert (await one.read("battery"))["voltage_mv"] == 3950


# --- gonio-ref --------------------------------------------------------------------------------------------------------


async def test_a_gonio_ref_sensor_streams_between_start_and_stop_and_counts_from_0() -> None:
    async with bench("gonio_ref", moved_by=spinning) as one:
        one.world.begin_motion()
        told = await one.listen("configuration")
        heard = await one.listen("motion")
        await one.command("configure", samples_per_packet=2, range_g=16)
        await until(told)
        assert heard == []
        (configured,) = (decode_packet(one.profile, "configuration", value) for value in told)
        assert (configured["state"], configured["samples_per_packet"], configured["range_g"]) == ("idle", 2, 16)
        scales = {name: configured[name] for name in ("acc_scale", "gyr_scale")}
        for _ in range(2):
            heard.clear()
            await one.command("start")
            await until(heard, 4)
            await one.command("stop")
            await asyncio.sleep(0.05)
            packets = [decode_packet(one.profile, "motion", value, scales) for value in heard]
            assert [packet["counter"] for packet in packets] == list(range(0, 2 * len(packets), 2))
            assert [packet["flag_names"] for packet in packets[:2]] == [["first"], []]
            assert packets[0]["acceleration_m_s2"] == [[pytest.approx(3 * STANDARD_GRAVITY, abs=0.003), 0.0, 0.0]] * 2
            assert packets[0]["angular_velocity_rad_s"] == [[0.0, 0.0, pytest.approx(np.radians(300), abs=0.001)]] * 2
            steps = np.diff([int(str(packet["timestamp_us"])) for packet in packets])
            assert set(steps.tolist()) <= {19_999, 20_000, 20_001}
        assert [decode_packet(one.profile, "configuration", value)["state"] for value in told[-2:]] == [
            "streaming",
            "idle",
        ]


async def test_a_gonio_ref_sensor_counts_what_nobody_listens_to() -> None:
    async with bench("gonio_ref") as one:
        one.world.begin_motion()
        heard = await one.listen("motion")
        await one.command("start")
        await until(heard, 2)
        await one.client.stop_notify(one.uuid("motion"))
        await asyncio.sleep(0.05)
        before = decode_packet(one.profile, "motion", heard[-1])
        await asyncio.sleep(0.1)
        heard = await one.listen("motion")
        await until(heard)
        after = decode_packet(one.profile, "motion", heard[0])
        missing = int(str(after["counter"])) - int(str(before["counter"])) - 5
        assert missing > 50
        gap_s = (int(str(after["timestamp_us"])) - int(str(before["timestamp_us"]))) * 1e-6
        assert gap_s == pytest.approx((missing + 5) / 100, abs=1e-5)
        assert after["flag_names"] == []


async def test_a_gonio_ref_sensor_is_idle_after_its_link_was_lost() -> None:
    async with bench("gonio_ref") as one:
        one.world.begin_motion()
        await one.listen("motion")
        await one.command("start")
        one.radio.drop(one.sensor.address)
        await asyncio.sleep(0.05)
        await one.client.connect()
        assert (await one.read("configuration"))["state"] == "idle"


async def test_a_gonio_ref_sensor_fills_the_packets_that_the_link_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gonio.simulators.bleak_backend._OFFERED_MTU", 23)
    async with bench("gonio_ref") as one:
        one.world.begin_motion()
        heard = await one.listen("motion")
        await one.command("configure", samples_per_packet=10)
        await one.command("start")
        await until(heard, 5)
        assert {len(value) for value in heard} == {20}
        assert [decode_packet(one.profile, "motion", value)["counter"] for value in heard] == list(range(len(heard)))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("", 0x80),
        ("09", 0x80),
        ("0501", 0x80),  # it has no beacon
        ("01640008d007", 0x0D),
        ("0200", 0x0D),
        ("01650008d00705", 0x81),  # 101 Hz
        ("01640003d00705", 0x81),  # 3 g
    ],
)
async def test_a_gonio_ref_sensor_refuses_with_the_documents_errors(data: str, error: int) -> None:
    async with bench("gonio_ref") as one:
        before = await one.read("configuration")
        assert await refused(one, "control", data) == error
        assert await one.read("configuration") == before


async def test_a_gonio_ref_sensor_is_not_configured_while_it_streams() -> None:
    async with bench("gonio_ref") as one:
        await one.command("start")
        assert await refused(one, "control", "01640008d00705") == 0x82
        await one.command("identify", seconds=2)
        assert (await one.read("configuration"))["state"] == "streaming"

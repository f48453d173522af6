"""WitMotion's registers, its bursts of frames, and what an MTU of 23 leaves of them."""

import struct

import numpy as np
import pytest

from gonio.drivers.codec import Notification, StreamDecoder, StreamEncoder, decode_packet
from gonio.drivers.commands import decode_command, encode_command
from gonio.drivers.link_errors import SensorUnsuitableError
from gonio.firmware_profiles import get_profile
from tests.drivers.rig import rig
from tests.simulators.bench import Bench, bench, until

WIT = get_profile("witmotion_ble5")


@pytest.mark.parametrize("code", range(7))
def test_every_bandwidth_has_its_code(code: int) -> None:
    written = decode_command(WIT, "command", bytes((0xFF, 0xAA, 0x1F, code, 0)))
    assert written.name == "set_bandwidth"
    assert encode_command(WIT, "set_bandwidth", written.parameters) == bytes((0xFF, 0xAA, 0x1F, code, 0))


def test_200_hz_are_asked_for_by_the_code_that_gives_them() -> None:
    assert encode_command(WIT, "set_rate", {"rate_hz": 200}) == bytes.fromhex("FFAA030B00")
    for code in ("0A", "0B"):
        assert decode_packet(WIT, "command", bytes.fromhex(f"FFAA03{code}00"))["command"] == "set_rate_200hz"


@pytest.mark.parametrize("frames", [1, 2, 4, 8])
def test_a_burst_gives_its_frames_however_many(frames: int) -> None:
    values = np.linspace(-9, 9, frames * 6).reshape(-1, 6)
    encoder, decoder = StreamEncoder(WIT, {"rate_hz": 10}), StreamDecoder(WIT, {"rate_hz": 100})
    burst = b"".join(encoder.encode(values[:, :3], values[:, 3:]))
    assert len(burst) == 20 * frames
    decoded = decode_packet(WIT, "data", burst)
    assert decoded["coalesced_frames"] == frames
    chunks = [decoder.feed(Notification(decoder.characteristic, burst, 0)), decoder.finish()]
    assert sum(len(chunk) for chunk in chunks if chunk is not None) == frames


async def answer(one: Bench, command: str) -> dict[str, object]:
    heard = await one.listen("data")
    await one.command(command)
    await until(heard)
    await one.client.stop_notify(one.uuid("data"))
    (value,) = heard
    return decode_packet(one.profile, "data", value)


async def test_a_register_that_was_written_is_read_back() -> None:
    async with bench("witmotion_ble5") as one:
        await one.command("write_register", register=0x1F, value=6)
        assert (await answer(one, "read_version"))["start_register"] == 0x2E  # it lives, and the write was locked
        await one.command("unlock")
        await one.command("set_bandwidth", bandwidth_hz=98)
        await one.command("write_register", register=0x20, value=0xBEEF)
        heard = await one.listen("data")
        await one.command("read_registers", register=0x1F)
        await until(heard)
        registers = decode_packet(one.profile, "data", heard[0])["registers"]
        assert isinstance(registers, list)
        assert registers[0] == 2
        assert registers[1] == struct.unpack("<h", struct.pack("<H", 0xBEEF))[0]


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("read_battery", "battery_voltage_v"),
        ("read_clock", "year"),
        ("read_magnetometer", "mag_raw"),
        ("read_magnetometer_type", "magnetometer_type"),
        ("read_quaternion", "quaternion_wxyz"),
        ("read_serial", "serial"),
        ("read_temperature", "temperature_c"),
        ("read_version", "firmware_raw"),
    ],
)
async def test_every_register_read_is_answered_and_understood(command: str, key: str) -> None:
    async with bench("witmotion_ble5") as one:
        assert key in await answer(one, command)


async def test_an_mtu_of_23_leaves_one_frame_of_each_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gonio.simulators.bleak_backend._OFFERED_MTU", 23)
    async with bench("witmotion_ble5") as one:
        one.world.begin_motion()
        heard = await one.listen("data")
        await one.command("unlock")
        await one.command("set_rate", rate_hz=100)
        heard.clear()
        await until(heard, 3)
        assert {len(value) for value in heard} == {20}
        assert all(decode_packet(one.profile, "data", value)["coalesced_frames"] == 1 for value in heard)


async def test_a_link_with_an_mtu_of_23_is_refused_for_100_hz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gonio.simulators.bleak_backend._OFFERED_MTU", 23)
    async with rig("witmotion_ble5") as one:
        with pytest.raises(SensorUnsuitableError, match="MTU of 23 bytes, its stream needs 83"):
            async with await one.link():
                pass

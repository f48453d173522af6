"""Virtual MetaMotion sensors, both kinds, as any host sees them."""

import asyncio
import itertools

import pytest
from bumble.att import ATT_Error

from gonio.drivers.codec import decode_packet
from gonio.drivers.commands import Write, build_sequence, encode_command
from gonio.firmware_profiles import get_profile
from gonio.simulators.peripheral_firmware import Surroundings
from gonio.simulators.peripheral_metamotion import MetaMotionFirmware
from tests.simulators.bench import bench

PROFILE = get_profile("mbientlab_metamotion")
RL, S = 1, 2  # the last digit of the address
CHIPS = {RL: "bmi160", S: "bmi270"}


def sensor(kind: int) -> MetaMotionFirmware:
    return MetaMotionFirmware(PROFILE, Surroundings(f"F1:4D:45:54:41:0{kind}"))


def ask(one: MetaMotionFirmware, data: str) -> list[str]:
    replies = one.write("command", bytes.fromhex(data))
    assert {role for role, _ in replies} <= {"notification"}
    return [value.hex() for _, value in replies]


def do(one: MetaMotionFirmware, *names: str, **chosen: int) -> None:
    for name in names:
        assert one.write("command", encode_command(PROFILE, name, PROFILE.resolve(chosen))) == []


def configuration(kind: int) -> tuple[str, str]:
    return f"configure_accelerometer_{CHIPS[kind]}", "configure_gyro"


def switches(kind: int) -> tuple[str, ...]:
    return (
        f"subscribe_packed_acceleration_{CHIPS[kind]}",
        f"subscribe_packed_angular_velocity_{CHIPS[kind]}",
        "enable_acceleration",
        "enable_angular_velocity",
        "start_accelerometer",
        "start_gyro",
    )


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        (RL, {"0380": "03800102", "1380": "13800001", "1280": "1280", "1480": "1480", "1680": "1680"}),
        (S, {"0380": "03800400", "1380": "13800100", "1280": "12800000", "1480": "14800000", "1680": "1680"}),
    ],
)
def test_each_module_says_what_it_is_and_an_absent_one_only_its_name(kind: int, answers: dict[str, str]) -> None:
    one = sensor(kind)
    assert {question: ask(one, question) for question in answers} == {q: [a] for q, a in answers.items()}
    described = decode_packet(PROFILE, "notification", bytes.fromhex(answers["0380"]))
    assert described["meaning"].endswith(f"{CHIPS[kind].upper()}, revision {described['revision']}")  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", CHIPS)
def test_what_else_it_tells_when_asked(kind: int) -> None:
    one = sensor(kind)
    for question in ("118c", "11cc"):
        (battery,) = ask(one, question)
        assert decode_packet(PROFILE, "notification", bytes.fromhex(battery))["battery_percent"] == 87
    (temperature,) = ask(one, "048101")
    assert decode_packet(PROFILE, "notification", bytes.fromhex(temperature))["temperature_c"] == 24.5
    assert ask(one, "0181") == ["018100"]
    do(one, *configuration(kind))
    assert ask(one, "1383") == ["13832800"]
    assert one.read("model_number") == {RL: b"5", S: b"8"}[kind]
    assert ask(one, "0bff") == []  # no such register


@pytest.mark.parametrize("kind", CHIPS)
def test_samples_flow_once_all_of_it_is_on_in_whatever_order(kind: int) -> None:
    names = switches(kind)
    for order in list(itertools.permutations(names))[::37]:
        one = sensor(kind)
        do(one, *configuration(kind))
        for name in order:
            assert one.stream_role() is None
            do(one, name)
        assert one.stream_role() == "notification"
        assert one.starts == 1


@pytest.mark.parametrize("kind", CHIPS)
@pytest.mark.parametrize("missing", range(6))
def test_with_one_thing_missing_none_flow(kind: int, missing: int) -> None:
    one = sensor(kind)
    names = switches(kind)
    do(one, *configuration(kind), *(name for number, name in enumerate(names) if number != missing))
    assert one.stream_role() is None
    do(one, names[missing])
    assert one.stream_role() == "notification"


@pytest.mark.parametrize("kind", CHIPS)
def test_started_before_it_is_configured_a_sensor_does_not_measure(kind: int) -> None:
    one = sensor(kind)
    do(one, *switches(kind), *configuration(kind))
    assert one.stream_role() is None
    do(one, "start_accelerometer", "start_gyro")
    assert one.stream_role() == "notification"


@pytest.mark.parametrize(("kind", "other"), [(RL, S), (S, RL)])
def test_the_other_chips_commands_do_nothing(kind: int, other: int) -> None:
    one = sensor(kind)
    do(one, *configuration(other), *switches(kind))
    assert one.stream_role() is None
    one = sensor(kind)
    do(one, *configuration(kind), *switches(other))
    assert one.stream_role() is None


@pytest.mark.parametrize("kind", CHIPS)
def test_rate_and_ranges_are_those_that_were_written(kind: int) -> None:
    one = sensor(kind)
    do(one, *configuration(kind), rate_hz=200, range_g=4, range_dps=500)
    assert (one.rate_hz, one.settings["range_g"], one.settings["range_dps"]) == (200, 4, 500)
    do(one, *switches(kind))
    assert one.stream_role() == "notification"
    do(one, "configure_gyro", rate_hz=50)  # the two no longer fit together
    assert one.stream_role() is None


@pytest.mark.parametrize("kind", CHIPS)
@pytest.mark.parametrize("off", ["stop_accelerometer", "stop_gyro", "disable_acceleration", "disable_angular_velocity"])
def test_each_switch_ends_the_stream(kind: int, off: str) -> None:
    one = sensor(kind)
    do(one, *configuration(kind), *switches(kind), off)
    assert one.stream_role() is None


@pytest.mark.parametrize("kind", CHIPS)
def test_the_profiles_first_steps_stop_all_that_an_earlier_session_left_on(kind: int) -> None:
    one = sensor(kind)
    do(one, *configuration(kind), *switches(kind))
    for command in ("020101", "0b0101", "190101"):
        ask(one, command)
    assert (one.light_on, one.logging, one.fusion_on, one.measuring) == (True, True, True, True)
    for action in build_sequence(PROFILE, "recover", PROFILE.resolve()):
        assert isinstance(action, Write)
        one.write("command", action.data)
    assert (one.light_on, one.logging, one.fusion_on, one.measuring) == (False, False, False, False)


def test_a_command_of_over_20_bytes_and_a_write_elsewhere_are_refused() -> None:
    one = sensor(RL)
    with pytest.raises(ATT_Error):
        one.write("command", bytes(21))
    with pytest.raises(ATT_Error):
        one.write("notification", b"\x03\x80")
    for data in ("", "03", "ff80", "0302", "030102030405", "110906"):  # no commands: passed over
        assert ask(one, data) == []


async def test_it_sends_acceleration_and_angular_velocity_by_turns() -> None:
    async with bench("mbientlab_metamotion") as one:
        one.world.begin_motion()
        heard = await one.listen("notification")
        for name in (*configuration(RL), *switches(RL)):
            await one.command(name)
        await asyncio.sleep(0.2)
        await one.command("stop_gyro")
        assert len(heard) > 40
        assert {len(value) for value in heard} == {20}
        assert {value[:2].hex() for value in heard[0::2]} == {"031c"}
        assert {value[:2].hex() for value in heard[1::2]} == {"1307"}
        decoded = decode_packet(one.profile, "notification", heard[0], {"range_g": 16})
        assert decoded["accel_g"] == [[0, 0, 1]] * 3
        count = len(heard)
        await asyncio.sleep(0.1)
        assert len(heard) <= count + 2


async def test_it_goes_on_when_its_link_is_lost() -> None:
    async with bench("mbientlab_metamotion") as one:
        one.world.begin_motion()
        await one.listen("notification")
        for name in (*configuration(RL), *switches(RL)):
            await one.command(name)
        one.radio.drop(one.sensor.address)
        await asyncio.sleep(0.05)
        assert not one.client.is_connected
        await one.client.connect()
        heard = await one.listen("notification")  # and no start
        await asyncio.sleep(0.2)
        assert len(heard) > 10

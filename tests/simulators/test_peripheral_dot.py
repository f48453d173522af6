"""A virtual Movella DOT's messages, reports, power and heading."""

import asyncio

import pytest
from bleak.exc import BleakGATTProtocolError

from gonio.drivers.codec import decode_packet
from gonio.simulators.peripheral_dot import DotFirmware
from tests.simulators.bench import Bench, bench, until


async def say(one: Bench, data: str) -> None:
    await one.client.write_gatt_char(one.uuid("message_control"), bytes.fromhex(data), response=True)


async def test_it_tells_that_it_is_not_synchronised() -> None:
    async with bench("movella_dot") as one:
        heard = await one.listen("message_notification")
        await say(one, "020108f5")
        await until(heard)
        (status,) = (decode_packet(one.profile, "message_notification", value) for value in heard)
        assert (status["reid"], status["status"]) == ("sync_status", "not_synced(0x09)")


@pytest.mark.parametrize(
    ("message", "reid", "result"),
    [
        ("020102fb", "stop_sync_result", "success"),
        ("010102fc", "ack", "idle(0x06)"),  # nothing is being recorded
        ("010141bd", "ack", "invalid(0x02)"),  # so nothing can be stopped
    ],
)
async def test_its_answer_waits_to_be_read(message: str, reid: str, result: str) -> None:
    async with bench("movella_dot") as one:
        await say(one, message)
        answer = await one.read("message_acknowledge")
        assert (answer["checksum_ok"], answer["reid"], answer["result"]) == (True, reid, result)


@pytest.mark.parametrize("message", ["020108f4", "0201", "030101fb"])
async def test_it_refuses_what_is_no_message_of_its_own(message: str) -> None:
    async with bench("movella_dot") as one:
        with pytest.raises(BleakGATTProtocolError):
            await say(one, message)


async def test_a_factory_reset_brings_back_what_was_delivered() -> None:
    async with bench("movella_dot") as one:
        await one.command("set_output_rate", rate_hz=20)
        await one.command("set_power_saving", timeout_x_min=1, timeout_x_s=0, timeout_y_min=1, timeout_y_s=0)
        await say(one, "030104f8")
        state = await one.read("device_control")
        assert (state["output_rate_hz"], state["timeout_x_min"], state["timeout_y_min"]) == (60, 10, 30)


async def test_it_reports_clicks_with_its_local_time() -> None:
    async with bench("movella_dot") as one:
        heard = await one.listen("device_report")
        firmware = one.sensor.firmware
        assert isinstance(firmware, DotFirmware)
        for times in (1, 2, 3):
            one.sensor.tell(firmware.click(times))
        await until(heard, 3)
        reports = [decode_packet(one.profile, "device_report", value) for value in heard]
        assert [report["report"] for report in reports] == ["single_click", "double_click", "triple_click"]
        assert {len(value) for value in heard} == {36}
        now_ms = one.sensor.own_clock_s(one.world.now_s()) * 1000
        assert all(0 < int(str(report["timestamp_ms"])) <= now_ms for report in reports)


async def test_switched_off_by_command_it_says_so_and_leaves_the_air() -> None:
    async with bench("movella_dot") as one:
        one.world.begin_motion()
        reports = await one.listen("device_report")
        await one.listen("medium_payload")
        await one.command("start_measurement")
        await one.command("power_off")
        await until(reports)
        await asyncio.sleep(0.2)
        (report,) = (decode_packet(one.profile, "device_report", value) for value in reports)
        assert report["report"] == "power_off"
        assert not one.client.is_connected
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await one.client.connect()


async def test_the_heading_is_reset_only_while_measuring_and_once() -> None:
    async with bench("movella_dot") as one:
        results = []

        async def reset(command: str) -> None:
            await one.command(command)
            results.append((await one.read("orientation_reset_status"))["result"])

        await reset("reset_heading")
        await one.command("start_measurement")
        for command in ("reset_heading", "reset_heading", "revert_heading", "reset_heading", "reset_default"):
            await reset(command)
        assert results == ["failed", "ok", "failed", "ok", "ok", "ok"]

"""Sequences as they are performed: what is asked, learned, passed over and told, on a connection of paper."""

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml
from bleak.backends.characteristic import BleakGATTCharacteristic

from gonio.drivers.dialogue import Dialogue
from gonio.drivers.link_errors import SensorLostError, SensorRefusedError, SensorUnsuitableError
from gonio.firmware_profiles import Profile
from gonio.firmware_profiles.loading import read_profile

if TYPE_CHECKING:
    from gonio.drivers.connection import SensorConnection

FAMILY = Path(__file__).parents[1] / "firmware_profiles" / "new_family.yaml"
FIRMWARE = "00002a26-0000-1000-8000-00805f9b34fb"
ANSWER, COMMAND = "ef680402-9b35-4933-9b10-52ffa9740042", "ef680403-9b35-4933-9b10-52ffa9740042"


class _Uuid:
    """All of a characteristic that a notification's callback looks at."""

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid


class PaperConnection:
    """Notes what is done, and answers each command as it is told to."""

    def __init__(self, answers: dict[str, list[bytes]], firmware: str) -> None:
        self.answers = answers
        self.firmware = firmware
        self.done: list[str] = []
        self.lost: SensorLostError | None = None
        self.label = "Paper (00:11)"
        self._callbacks: dict[str, Callable[[BleakGATTCharacteristic, bytearray], None]] = {}

    async def subscribe(self, uuid: str, on_value: Callable[[BleakGATTCharacteristic, bytearray], None]) -> None:
        self.done.append(f"subscribe {uuid[:8]}")
        self._callbacks[uuid] = on_value

    async def unsubscribe(self, uuid: str) -> None:
        self.done.append(f"unsubscribe {uuid[:8]}")
        del self._callbacks[uuid]

    async def write(self, _uuid: str, data: bytes, what: str) -> None:
        self.done.append(f"{what} {data.hex()}")
        if self.answers.get(what) == [b"refused"]:
            raise SensorRefusedError(what)
        queue = self.answers.get(what, [])
        if queue and ANSWER in self._callbacks:
            value = bytearray(queue.pop(0))
            self._callbacks[ANSWER](cast("BleakGATTCharacteristic", _Uuid(ANSWER)), value)

    def has(self, uuid: str) -> bool:
        return uuid == FIRMWARE and self.firmware != ""

    async def read(self, _uuid: str, _what: str) -> bytes:
        return self.firmware.encode()

    def unsuitable(self, what: str) -> SensorUnsuitableError:
        return SensorUnsuitableError(what)


def _profile(*prepare: dict[str, Any], **more: Any) -> Profile:  # noqa: ANN401 - any part of a profile
    content = yaml.safe_load(FAMILY.read_text(encoding="utf-8"))
    content["gatt"]["motion"]["characteristics"] |= {
        "answer": {"uuid": ANSWER, "properties": ["indicate"]},
        "command": {"uuid": COMMAND, "properties": ["write"]},
    }
    content["packets"]["reply"] = {
        "title": "reply",
        "role": "answer",
        "size": 3,
        "fields": [
            {"name": "to", "offset": 0, "type": "u8", "labels": {1: "chip", 2: "go", 3: "halt"}},
            {"name": "status", "offset": 1, "type": "u8"},
            {"name": "value", "offset": 2, "type": "u8"},
        ],
    }
    content["gatt"]["device"] = {
        "uuid": "0000180a-0000-1000-8000-00805f9b34fb",
        "characteristics": {"firmware": {"uuid": FIRMWARE, "properties": ["read"]}},
    }
    content["packets"]["firmware"] = {
        "title": "firmware",
        "role": "firmware",
        "size": 0,
        "fields": [{"name": "version", "offset": 0, "type": "text"}],
    }
    content["readings"] = {"firmware": {"packet": "firmware", "value": "version"}}
    content["packets"]["scale"] = {
        "title": "scale",
        "role": "answer",
        "size": 4,
        "fields": [{"name": "scale", "offset": 0, "type": "f32"}],
    }
    content["learned"] = {"chip": {"title": "chip", "default": 0}}
    for number, name in enumerate(("chip", "go", "halt", "old_way", "new_way"), 1):
        content["commands"][name] = {"title": name, "role": "command", "bytes": f"{number:02x}"}
    content["sequences"]["prepare"] = [{"subscribe": "answer"}, *prepare]
    content["sequences"]["stop"].append({"unsubscribe": "answer"})
    return read_profile(content | more, "paper")


def _ask(command: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any part of a question
    return {"ask": {"write": command, "answer": "reply", "match": {"to": command}, "timeout_s": 0.05, **more}}


async def _prepare(
    profile: Profile, answers: dict[str, list[bytes]], firmware: str = ""
) -> tuple[PaperConnection, Dialogue]:
    connection = PaperConnection(answers, firmware)
    dialogue = Dialogue(profile, profile.resolve(), cast("SensorConnection", connection), lambda _uuid, _value: None)
    await dialogue.heed_firmware()
    await dialogue.perform("prepare")
    return connection, dialogue


async def test_what_is_learned_decides_what_is_done_next() -> None:
    profile = _profile(
        _ask("chip", expect={"status": 0}, learn={"chip": "value"}),
        {"write": "old_way", "when": {"chip": [0, 1]}},
        {"write": "new_way", "when": {"chip": 4}},
    )
    connection, dialogue = await _prepare(profile, {"chip": [b"\x01\x00\x04"]})
    assert connection.done[1:] == ["chip 01", "new_way 05"]
    assert dialogue.settings["chip"] == 4


@pytest.mark.parametrize("told", [math.nan, math.inf])
async def test_a_sensor_that_tells_no_number_does_not_fit(told: float) -> None:
    profile = _profile(_ask("chip", answer="scale", match={}, learn={"chip": "scale"}))
    with pytest.raises(SensorUnsuitableError, match="it answered chip wrongly: chip is a number, not None"):
        await _prepare(profile, {"chip": [struct.pack("<f", told)]})
    _, dialogue = await _prepare(profile, {"chip": [struct.pack("<f", 0.25)]})
    assert dialogue.settings["chip"] == 0.25


async def test_firmware_decides_what_is_done() -> None:
    steps = {"write": "old_way", "firmware": "<2"}, {"write": "new_way", "firmware": ">=2,<4"}
    assert [(await _prepare(_profile(*steps), {}, version))[0].done[1:] for version in ("1.9", "3.0.1", "4")] == [
        ["old_way 04"],
        ["new_way 05"],
        [],
    ]


async def test_a_firmware_that_the_profile_is_not_good_for_does_not_fit() -> None:
    with pytest.raises(SensorUnsuitableError, match=r"its firmware is 3\.0, the profile is good for <3"):
        await _prepare(_profile(firmware="<3"), {}, "3.0")


async def test_an_answer_to_another_question_is_passed_over() -> None:
    profile = _profile(_ask("chip", learn={"chip": "value"}))
    with pytest.raises(SensorRefusedError, match=r"did not answer chip within 0\.05 s"):
        await _prepare(profile, {"chip": [b"\x02\x00\x04"]})
    with pytest.raises(SensorRefusedError, match="did not answer chip"):
        await _prepare(profile, {"chip": [b"\x01\x00"]})  # cut short


async def test_what_refuses_a_step_that_may_be_left_out_is_passed_over() -> None:
    for step, answers in (
        ({"write": "go"}, {"go": [b"refused"]}),
        (_ask("go"), {}),
        (_ask("go", expect={"status": 0}), {"go": [b"\x02\x07\x00"]}),
    ):
        with pytest.raises(SensorRefusedError):
            await _prepare(_profile(step, {"write": "new_way"}), {k: [*v] for k, v in answers.items()})
        connection, _ = await _prepare(_profile({**step, "optional": True}, {"write": "new_way"}), answers)
        assert connection.done[1:] == ["go 02", "new_way 05"]


async def test_a_refusal_says_what_was_answered_or_what_to_do_about_it() -> None:
    plain = _ask("go", expect={"status": [0, 1]})
    with pytest.raises(SensorRefusedError, match="refused go: it answered to go, status 13, value 5"):
        await _prepare(_profile(plain), {"go": [b"\x02\x0d\x05"]})
    told = _ask("go", expect={"status": [0, 1]}, refusals={13: "it is in its charger"})
    with pytest.raises(SensorRefusedError, match="refused go: it is in its charger"):
        await _prepare(_profile(told), {"go": [b"\x02\x0d\x05"]})


async def test_a_remedy_is_tried_once() -> None:
    step = _ask("go", expect={"status": 0}, again_after={6: "halt"})
    running, right, stopped = b"\x02\x06\x00", b"\x02\x00\x00", b"\x03\x00\x00"
    connection, _ = await _prepare(_profile(step), {"go": [running, right], "halt": [stopped]})
    assert connection.done[1:] == ["go 02", "halt 03", "go 02"]
    with pytest.raises(SensorRefusedError, match="status 6"):
        await _prepare(_profile(step), {"go": [running, running, right], "halt": [stopped]})

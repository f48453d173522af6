"""What is said over a connection: a profile's sequences and readings, and what the sensor's answers teach."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final, Literal

from bleak.backends.characteristic import BleakGATTCharacteristic

from gonio.drivers.codec import reading_value
from gonio.drivers.commands import (
    Action,
    Question,
    Read,
    Subscribe,
    Unsubscribe,
    Wait,
    Which,
    Write,
    build_step,
    sequence_steps,
    write_action,
)
from gonio.drivers.connection import SensorConnection
from gonio.drivers.link_errors import SensorRefusedError
from gonio.drivers.packets import find_packet
from gonio.errors import UsageError
from gonio.firmware_profiles import Profile
from gonio.firmware_profiles.commands import Ask, Said, Step

#: Values that wait for whoever has asked for one: more than a sensor can send while it answers.
_ANSWERS_CAPACITY: Final = 256

_SEQUENCES: Final[tuple[Which, ...]] = ("recover", "prepare", "start", "stop")


class Dialogue:
    """Speaks with one sensor over its connection.

    Attributes:
        profile: of the sensor's firmware, once that is known.
        settings: what was chosen, and what was learned.
    """

    def __init__(
        self,
        profile: Profile,
        settings: Mapping[str, int | float],
        connection: SensorConnection,
        on_value: Callable[[str, bytes], None],
    ) -> None:
        """Prepare; nothing is said yet.

        Args:
            profile: the sensor's.
            settings: complete, as the profile resolves them.
            connection: over which it is spoken.
            on_value: given every notification: the characteristic's UUID in lower case, and the value.

        Raises:
            UsageError: the family gives no motion stream.
        """
        for which in _SEQUENCES:
            sequence_steps(profile, which)
        self.profile = profile
        self.settings = settings
        self._connection = connection
        self._tell = on_value
        self._subscribed: set[str] = set()
        self._asked: tuple[str, asyncio.Queue[bytes]] | None = None  # where an answer is awaited, and what came there

    def _on_value(self, characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
        # A plain function: bleak would make a task of a coroutine for every packet, that nobody awaits.
        uuid, value = characteristic.uuid.lower(), bytes(data)
        if self._asked is not None and self._asked[0] == uuid and not self._asked[1].full():
            self._asked[1].put_nowait(value)
        self._tell(uuid, value)

    def check_characteristics(self) -> None:
        """See that the connected sensor has what will be needed.

        Raises:
            SensorUnsuitableError: it has not.
        """
        for which in _SEQUENCES:
            for step in sequence_steps(self.profile, which):
                if step.applies(self.settings) and not step.optional:
                    self._check_action(build_step(self.profile, step, self.settings))

    def _check_action(self, action: Action) -> None:
        match action:
            case Subscribe(uuid):
                needed: tuple[str, ...] = ("notify", "indicate")
            case Write(uuid) | Question(Write(uuid)):
                needed = ("write", "write-without-response")
            case Read(uuid):
                needed = ("read",)
            case _:
                return
        if not set(needed) & set(self._connection.characteristic(uuid).properties):
            raise self._connection.unsuitable(f"its characteristic {uuid} does not offer {' or '.join(needed)}")

    async def heed_firmware(self) -> str:
        """Ask for the sensor's firmware, and go on with the packets and steps of that.

        Returns:
            Its version as the family writes it, "" when it does not tell: then everything stays.

        Raises:
            SensorUnsuitableError: the profile is not good for it.
            SensorLostError: it was lost, or did not answer in time.
        """
        told = await self.reading("firmware")
        firmware = "" if told is None else str(told)
        if not self.profile.supports(firmware):
            raise self._connection.unsuitable(
                f"its firmware is {firmware}, the profile is good for {self.profile.firmware}"
            )
        self.profile = self.profile.for_firmware(firmware)
        return firmware

    async def perform(self, which: Which) -> None:
        """Go through a sequence of the profile.

        Raises:
            SensorRefusedError: the sensor refused a step that is needed.
            SensorUnsuitableError: it told something that cannot be.
            SensorLostError: it was lost, or did not answer in time.
        """
        for step in sequence_steps(self.profile, which):
            if step.applies(self.settings):
                await self._do(step)

    async def _do(self, step: Step) -> None:
        action = build_step(self.profile, step, self.settings)
        try:
            await self._act(action)
        except SensorRefusedError:
            if not step.optional:
                raise

    async def _act(self, action: Action) -> None:
        match action:
            case Subscribe(uuid):
                await self.subscribe(uuid)
            case Unsubscribe(uuid):
                self._subscribed.discard(uuid)
                await self._connection.unsubscribe(uuid)
            case Write():
                await self._connection.write(action.characteristic, action.data, action.command)
            case Read(uuid):
                await self._connection.read(uuid, f"give {uuid}")
            case Question():
                await self._inquire(action)
            case Wait(seconds):
                await asyncio.sleep(seconds)

    async def subscribe(self, uuid: str) -> None:
        """Switch the notifications of a characteristic on, if they are not; errors as ``perform``."""
        if uuid not in self._subscribed:
            await self._connection.subscribe(uuid, self._on_value)
            self._subscribed.add(uuid)

    async def _inquire(self, question: Question) -> None:
        """Ask until the answer is as expected, at most once more for each remedy; learn from it.

        Raises:
            SensorRefusedError: it is not, or there is none in time.
            SensorUnsuitableError: what it tells is no number.
        """
        remedies = dict(question.again_after)
        while True:
            answer = await self._answer(question)
            wrong = _unexpected(question.ask, answer)
            if wrong is None:
                learned = {name: answer[key] for name, key in question.ask.learn.items() if key in answer}
                try:
                    self.settings = self.profile.resolve({**self.settings, **learned})
                except UsageError as error:  # it is the sensor that told it
                    raise self._connection.unsuitable(f"it answered {_asked_for(question)} wrongly: {error}") from error
                return
            remedy = remedies.pop(wrong, None)
            if remedy is None:
                raise SensorRefusedError(self._refusal(question, answer, wrong))
            await self._answer(Question(remedy, question.characteristic, question.ask, {}), needed=False)

    async def _answer(self, question: Question, *, needed: bool = True) -> Mapping[str, object]:
        """Write, and wait for the answer; where none is needed, any packet on its characteristic will do."""
        ask = question.ask
        came: asyncio.Queue[bytes] = asyncio.Queue(_ANSWERS_CAPACITY)
        self._asked = (question.characteristic, came)
        try:
            if question.write:
                await self._connection.write(question.write.characteristic, question.write.data, question.write.command)
            async with asyncio.timeout(ask.timeout_s):
                while True:
                    answer = find_packet(self.profile, ask.answer, await came.get())
                    if answer is not None and (not needed or _says(answer, ask.match)):
                        return answer
        except TimeoutError:
            if self._connection.lost is not None:
                raise self._connection.lost from None
            if not needed:
                return {}
            raise SensorRefusedError(
                f"{self._connection.label} did not answer {_asked_for(question)} within {ask.timeout_s:.3g} s"
            ) from None
        finally:
            self._asked = None

    def _refusal(self, question: Question, answer: Mapping[str, object], wrong: Said) -> str:
        said = ", ".join(f"{key} {value}" for key, value in answer.items() if isinstance(value, str | int | float))
        advice = question.ask.refusals.get(wrong)
        return f"{self._connection.label} refused {_asked_for(question)}: {advice or 'it answered ' + said}"

    async def reading(self, name: Literal["battery", "firmware"]) -> int | float | str | None:
        """Ask for a reading; None when the family has none, or the sensor does not give it."""
        reading = self.profile.readings.get(name)
        if reading is None:
            return None
        uuid = self.profile.characteristic(self.profile.packets[reading.packet].role).uuid
        if not self._connection.has(uuid):
            return None
        if reading.command is None:
            return reading_value(self.profile, name, await self._connection.read(uuid, f"tell its {name}"))
        write = write_action(self.profile, reading.command, self.settings)
        was_subscribed = uuid in self._subscribed
        await self.subscribe(uuid)
        ask = Ask(answer=reading.packet, timeout_s=reading.timeout_s)
        value: object = None
        with contextlib.suppress(SensorRefusedError):
            value = (await self._answer(Question(write, uuid, ask, {}))).get(reading.value)
        if not was_subscribed:
            await self._act(Unsubscribe(uuid))
        return value if isinstance(value, int | float | str) else None


def _says(answer: Mapping[str, object], match: Mapping[str, Said]) -> bool:
    return all(answer.get(key) == value for key, value in match.items())


def _unexpected(ask: Ask, answer: Mapping[str, object]) -> Said | None:
    """Give the value in an answer that is not as expected, None when all are."""
    for key, wanted in ask.expect.items():
        value = answer.get(key)
        if value not in (wanted if isinstance(wanted, list) else [wanted]):
            return value if isinstance(value, bool | int | float | str) else ""
    return None


def _asked_for(question: Question) -> str:
    return question.write.command if question.write else question.ask.answer

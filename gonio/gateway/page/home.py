"""All that the page may ask of the kit, and nothing else: what is known of the patient, and what is to be kept.

``Home`` belongs to a running kit. It reads the kit's own records (a wiped kit has none), begins sessions, keeps what is
told, and reminds. A page is made from one :class:`Look`, read in one go.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from types import TracebackType
from typing import Final, NoReturn, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError

from gonio.errors import GonioError
from gonio.gateway.inbox import State
from gonio.gateway.kit import Kit
from gonio.gateway.notes import SHARING
from gonio.gateway.page.live import LiveDesk, Wanted, wanted_of
from gonio.gateway.page.phones import Phones
from gonio.gateway.patient.history import History, Kept, history_of, kept
from gonio.gateway.patient.reminders import Reminded, Why, due
from gonio.gateway.patient.schedule import Due, Given, due_on, in_force
from gonio.gateway.patient.streak import DayKind, Streak, day_kinds, streak
from gonio.gateway.reports import Report
from gonio.gateway.signs import NoSigns, Signs
from gonio.gateway.store import KitStore
from gonio.messages import DownKind, Envelope, Kind, MessageError, Payload, read_down, read_payload
from gonio.messages.down import ClinicMessage, Program
from gonio.messages.patient import Preference

log = logging.getLogger(__name__)

#: What a patient's history is read from.
KINDS: Final = (Kind.SESSION, Kind.CHECK_IN, Kind.VOID, Kind.MESSAGE, Kind.PREFERENCE)
_REMINDED: Final = "reminded"
_LOOK_S: Final = 20.0  # between two looks at the clock for reminders
_REMINDED_JSON: Final = TypeAdapter(Reminded)


@dataclass(frozen=True, slots=True)
class Received:
    """A message of the clinic's."""

    record_id: UUID
    at: datetime
    message: ClinicMessage
    state: State


@dataclass(frozen=True, slots=True)
class Look:
    """What is known at one moment.

    Attributes:
        now: the moment, in the patient's time zone.
        zone: that time zone.
        programs: all that the clinic gave, in its order.
        history: what the kit's records tell.
        received: the clinic's messages, oldest first.
        waiting: records that the clinic has not acknowledged.
        unsaved: records that the disk has refused so far.
        shares: whether anything leaves the kit now.
        reminder: why the patient is to be reminded now, or None.
    """

    now: datetime
    zone: ZoneInfo
    programs: tuple[Given, ...]
    history: History
    received: tuple[Received, ...]
    waiting: int
    unsaved: int
    shares: bool
    reminder: Why | None

    @property
    def today(self) -> date:
        """The date."""
        return self.now.date()

    @property
    def program(self) -> Program | None:
        """The program in force today."""
        return in_force(self.programs, self.today)

    @property
    def newest_program(self) -> Program | None:
        """The program in force, or else the last one that was: whose patient this is does not end with it."""
        return self.program or (self.programs[-1].program if self.programs else None)

    def due(self, day: date | None = None) -> tuple[Due, ...]:
        """Give a day's exercises with what is left of them; today's by default."""
        history = self.history
        return due_on(self.programs, history.pauses(self.zone), history.done(self.zone), day or self.today, self.zone)

    def days(self, first: date) -> list[tuple[date, DayKind]]:
        """Say of each day since a first one what it is to the streak."""
        done, rested = self.history.days_done(self.programs, self.zone), self.history.days_rested(self.zone)
        return day_kinds(
            self.programs, self.history.pauses(self.zone), done, rested, first=min(first, self.today), today=self.today
        )

    @property
    def streak(self) -> Streak:
        """The streak, over all days that a program covers."""
        first = min((one.since for one in self.programs), default=self.today)
        return streak(self.days(first))

    def line(self, exercise: str, side: str) -> Due | None:
        """Give the line of today's program for an exercise: the first with something left, else the last; None."""
        lines = [one for one in self.due() if (one.prescribed.exercise, one.prescribed.side) == (exercise, side)]
        return next((one for one in lines if one.left), lines[-1] if lines else None)

    @property
    def unread(self) -> int:
        """Messages of the clinic's that nobody has read."""
        return sum(one.state != "read" for one in self.received)

    @property
    def simulated(self) -> bool:
        """Whether anything shown was made up."""
        given = any(one.program.simulated for one in self.programs)
        return given or self.history.simulated or any(one.message.simulated for one in self.received)


class Home:
    """The kit as its page knows it; ``async with`` begins to remind, and ends what the page began."""

    def __init__(
        self, kit: Kit, *, zone: ZoneInfo, signs: Signs | None = None, on_begin: Callable[[Wanted], None] | None = None
    ) -> None:
        """Prepare.

        Args:
            kit: entered.
            zone: the patient's time zone.
            signs: the kit's lamp and sounds.
            on_begin: called when a session is wanted, before its sensors are connected.
        """
        self.kit = kit
        self.zone = zone
        self.signs: Signs = signs or NoSigns()
        self.live = LiveDesk(kit, self.signs, on_rep=self.react, on_begin=on_begin)
        self.phones = Phones(lambda: kit.store)
        self._records = _Records()
        self._reminder: Why | None = None
        self._preferring = asyncio.Lock()  # two phones that change different wishes at once keep both

    async def __aenter__(self) -> Self:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._reminding = self._group.create_task(self._remind(), name="reminders")
        self.signs.light("ready")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reminding.cancel()
        self.live.close()
        self.kit.stop_session()
        if isinstance(error, asyncio.CancelledError):
            await self._group.__aexit__(kind, error, traceback)
        else:  # an error of the body is the body's: the group would wrap it
            await self._group.__aexit__(None, None, None)

    # --- looking -----------------------------------------------------------------------------------------------------

    async def look(self) -> Look:
        """Read all that a page may show."""
        return await asyncio.to_thread(self._look)

    def _look(self) -> Look:
        store = self.kit.store
        counts = store.counts()
        return Look(
            now=self.kit.now().astimezone(self.zone),
            zone=self.zone,
            programs=tuple(self._programs(store)),
            history=self._records.read(store),
            received=tuple(_messages(store)),
            waiting=counts.pending,
            unsaved=self.kit.held_in_memory,
            shares=store.note(SHARING) != "off",
            reminder=self._reminder,
        )

    def _programs(self, store: KitStore) -> list[Given]:
        found = []
        for one in store.clinic_records(DownKind.PROGRAM):
            try:
                payload = read_down(one.envelope)
            except MessageError:  # it was refused when it came, and the clinic knows
                continue
            if isinstance(payload, Program):
                made = datetime.fromisoformat(one.envelope.created_at).astimezone(self.zone).date()
                found.append(Given(payload, made))
        return found

    async def state_of(self, record_id: UUID) -> str | None:
        """Give how a record stands with the clinic: pending, acknowledged, rejected; None: it is not on the disk."""
        return (await asyncio.to_thread(self.kit.store.states, [record_id])).get(record_id)

    async def record(self, record_id: UUID) -> tuple[Envelope, Payload] | None:
        """Give a record of the kit's own, or None."""
        envelope = await asyncio.to_thread(self.kit.store.record, record_id)
        return None if envelope is None else (envelope, read_payload(envelope))

    # --- doing -------------------------------------------------------------------------------------------------------

    def begin(self, wanted: Wanted) -> bool:
        """Begin a session; False where one runs already."""
        return self.live.begin(wanted, self._group)

    def button(self) -> None:
        """Do what the kit's one button does, see :meth:`press`, without waiting for it."""
        self._group.create_task(self._pressed(), name="button")

    async def _pressed(self) -> None:
        try:
            await self.press()
        except GonioError as error:
            self.signs.sound("failed")
            log.warning("the button came to nothing: %s", error)

    async def press(self) -> None:
        """Do what the kit's one button does: end the session that runs, or begin what is left of today.

        Without a program the exercise is recognised as it is done.
        """
        if self.live.view.runs:
            await self.live.stop()
            return
        left = [one.prescribed for one in (await self.look()).due() if one.left]
        self.begin(wanted_of(left[0]) if left else Wanted(None, self.kit.settings.side))

    async def tell(self, report: Report, record_id: UUID | None = None) -> Envelope | None:
        """Keep what a person tells, and take it as an answer to reminders; see ``Kit.tell``."""
        envelope = await self.kit.tell(report, record_id=record_id)
        await self.react()
        return envelope

    async def prefer(self, change: Callable[[Preference], Preference], record_id: UUID | None = None) -> None:
        """Change what the patient prefers; what is not changed stays."""
        async with self._preferring:
            before = (await self.look()).history.preference
            after = change(before)
            if after != before:
                await self.tell(after, record_id)

    async def read(self, received: Received) -> None:
        """Tell the clinic that a person has seen its message."""
        if received.state != "read":
            await self.kit.answer(received.record_id, "read")

    # --- reminders ---------------------------------------------------------------------------------------------------

    async def react(self) -> None:
        """Note that the patient did something: reminders have worked."""
        self._reminder = None
        await self._note(lambda before: before.react())

    async def snooze(self, minutes: int) -> None:
        """Remind again later."""
        self._reminder = None
        until = self.kit.now() + timedelta(minutes=minutes)
        await self._note(lambda before: before.snooze(until))
        self.live.shake()

    async def check_reminders(self) -> None:
        """Look once whether to remind, and do."""
        look = await self.look()
        left = any(one.left for one in look.due()) and not self.live.view.runs
        why = due(look.history.preference, self._reminded(), look.now, self.zone, left=left)
        if why is not None:
            self._reminder = why
            await self._note(lambda before: before.give(look.now))
            self.signs.sound("reminder")
            self.live.shake()
        elif self._reminder is not None and not left:
            self._reminder = None
            self.live.shake()

    async def _remind(self) -> NoReturn:
        while True:
            await self.check_reminders_safely()
            await asyncio.sleep(_LOOK_S)

    async def check_reminders_safely(self) -> None:
        """Look once; what the kit cannot do now (the disk is full, it is just being wiped) waits for the next time."""
        try:
            await self.check_reminders()
        except GonioError as error:
            log.warning("reminders wait: %s", error)

    def _reminded(self) -> Reminded:
        text = self.kit.store.note(_REMINDED)
        try:
            return Reminded() if text is None else _REMINDED_JSON.validate_json(text)
        except ValidationError:  # of another version
            return Reminded()

    async def _note(self, change: Callable[[Reminded], Reminded]) -> None:
        before = await asyncio.to_thread(self._reminded)
        after = change(before)
        if asdict(after) != asdict(before):
            await asyncio.to_thread(self.kit.store.keep_note, _REMINDED, _REMINDED_JSON.dump_json(after).decode())


class _Records:
    """The kit's records, read once each."""

    def __init__(self) -> None:
        self._store: KitStore | None = None
        self._last = 0
        self._kept: list[Kept] = []
        self._history = History()
        self._lock = threading.Lock()  # two pages may be made at once

    def read(self, store: KitStore) -> History:
        with self._lock:
            return self._read(store)

    def _read(self, store: KitStore) -> History:
        if store is not self._store:  # the kit was wiped: nothing of before is true any more
            self._store, self._last, self._kept, self._history = store, 0, [], History()
        new = store.of_kinds(KINDS, self._last)
        if new:
            self._last = new[-1][0]
            for _, envelope, _ in new:
                try:
                    one = kept(envelope, read_payload(envelope))
                except MessageError:
                    log.warning("record %s of this kit cannot be read any more", envelope.record_id)
                    continue
                if one is not None:
                    self._kept.append(one)
            self._history = history_of(self._kept)
        return self._history


def _messages(store: KitStore) -> list[Received]:
    found = []
    for one in store.clinic_records(DownKind.MESSAGE):
        try:
            payload = read_down(one.envelope)
        except MessageError:
            continue
        if isinstance(payload, ClinicMessage):
            at = datetime.fromisoformat(one.envelope.created_at)
            found.append(Received(one.envelope.record_id, at, payload, one.state))
    return found

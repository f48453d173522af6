"""What the clinic asks the kit to do: each command is carried out and answered, also after a restart.

A command is answered after it was carried out, so one that a power cut interrupts is carried out once more. What this
kit cannot do is refused, with the reason.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal, NoReturn, TypeAlias

from gonio.errors import GonioError
from gonio.gateway.clock import KitClock
from gonio.gateway.database import StoreWriteError
from gonio.gateway.inbox import InboxRecord, State
from gonio.gateway.store import KitStore
from gonio.messages import (
    AllowSensors,
    Capture,
    DownEnvelope,
    DownKind,
    Identify,
    MessageError,
    RotateCredentials,
    Wipe,
    read_down,
)

log = logging.getLogger(__name__)

RETRY_S: Final = 5.0  # after the disk refused an answer

Command: TypeAlias = Identify | Capture | RotateCredentials | Wipe | AllowSensors
CommandName: TypeAlias = Literal["identify", "capture", "rotate-credentials", "wipe", "sensors"]
#: Carries a command out; a GonioError is the reason for which it is refused.
CommandHook: TypeAlias = Callable[[Command], Awaitable[None]]


class CommandDesk:
    """Carries out the clinic's commands one after another; :meth:`run` is a task of its own."""

    def __init__(self, store: KitStore, clock: KitClock, hooks: Mapping[CommandName, CommandHook]) -> None:
        """Prepare.

        Args:
            store: whose inbox holds the commands.
            clock: the kit's.
            hooks: what this kit can do; everything else is refused.
        """
        self._store = store
        self._clock = clock
        self._hooks = dict(hooks)
        self._due = asyncio.Event()

    def called(self, _: DownEnvelope) -> None:
        """Take note that something came."""
        self._due.set()

    async def run(self) -> NoReturn:
        """Carry out what waits, and what comes, for ever."""
        while True:
            self._due.clear()
            try:
                await self.work()
            except StoreWriteError as error:
                log.warning("a command of the clinic's waits for the disk: %s", error)
                await asyncio.sleep(RETRY_S)
            else:
                await self._due.wait()

    async def work(self) -> None:
        """Carry out and answer every command that waits.

        Raises:
            StoreWriteError: the disk did not take an answer; the command stays, and is carried out again.
        """
        for one in await asyncio.to_thread(self._store.clinic_records, DownKind.COMMAND):
            if one.state == "received":
                await self._carry_out(one)

    async def _carry_out(self, one: InboxRecord) -> None:
        state: State = "applied"
        reason = None
        try:
            await self._do(one.envelope)
        except StoreWriteError:
            raise
        except GonioError as error:
            state, reason = "refused", str(error)
        capture, record_id = self._clock.capture(), one.envelope.record_id
        await asyncio.to_thread(self._store.answer, record_id, state, capture, reason=reason)

    async def _do(self, envelope: DownEnvelope) -> None:
        command = read_down(envelope)
        if not isinstance(command, Command):
            raise MessageError("this is no command that waits to be carried out")
        hook = self._hooks.get(command.do)
        if hook is None:
            raise MessageError(f"this kit cannot carry out {command.do}")
        await hook(command)

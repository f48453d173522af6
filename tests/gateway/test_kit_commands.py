"""Each command of the clinic's is carried out and answered; what this kit cannot do is refused with the reason."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gonio.errors import PeerError
from gonio.gateway.clock import KitClock
from gonio.gateway.commands import Command, CommandDesk, CommandHook, CommandName
from gonio.gateway.store import KitStore
from gonio.messages import Capture, Identify, RotateCredentials, Wipe
from tests.gateway.test_kit_inbox import CAPTURE, receipts, sent


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KitStore]:
    with KitStore.open(tmp_path / "kit") as store:
        yield store


def desk(store: KitStore, hooks: dict[CommandName, CommandHook]) -> CommandDesk:
    return CommandDesk(store, KitClock(), hooks)


def answers(store: KitStore) -> list[tuple[uuid.UUID, str, str | None]]:
    return [(r.of, r.status, r.reason) for r in receipts(store) if r.status != "received"]


async def test_what_the_kit_cannot_do_is_refused(store: KitStore) -> None:
    commands = [
        sent(store, command, number)
        for number, command in enumerate(
            (Wipe(do="wipe"), RotateCredentials(do="rotate-credentials"), Capture(do="capture", duration_s=5)), 1
        )
    ]
    store.receive(commands, CAPTURE)
    await desk(store, {}).work()
    assert answers(store) == [
        (envelope.record_id, "refused", f"this kit cannot carry out {name}")
        for envelope, name in zip(commands, ("wipe", "rotate-credentials", "capture"), strict=True)
    ]


async def test_a_command_is_carried_out_once_also_over_a_restart(store: KitStore) -> None:
    done: list[Command] = []

    async def blink(command: Command) -> None:
        done.append(command)

    one = sent(store, Identify(do="identify"))
    store.receive([one], CAPTURE)
    await desk(store, {"identify": blink}).work()
    await desk(store, {"identify": blink}).work()
    assert done == [Identify(do="identify")]
    assert answers(store) == [(one.record_id, "applied", None)]


async def test_one_that_fails_is_refused_with_the_reason(store: KitStore) -> None:
    async def record(command: Command) -> None:
        raise PeerError("no sensor is heard")

    one = sent(store, Capture(do="capture", duration_s=5))
    store.receive([one], CAPTURE)
    await desk(store, {"capture": record}).work()
    assert answers(store) == [(one.record_id, "refused", "no sensor is heard")]


async def test_one_that_was_interrupted_is_carried_out_again(store: KitStore) -> None:
    tries = 0

    async def hang(command: Command) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise asyncio.CancelledError

    store.receive([sent(store, Identify(do="identify"))], CAPTURE)
    with pytest.raises(asyncio.CancelledError):
        await desk(store, {"identify": hang}).work()
    assert answers(store) == []
    await desk(store, {"identify": hang}).work()
    assert [status for _, status, _ in answers(store)] == ["applied"]


async def test_the_desk_is_called_when_something_comes(store: KitStore) -> None:
    done = asyncio.Event()

    async def blink(command: Command) -> None:
        done.set()

    one = desk(store, {"identify": blink})
    running = asyncio.create_task(one.run())
    await asyncio.sleep(0)
    (envelope,) = store.receive([sent(store, Identify(do="identify"))], CAPTURE)
    one.called(envelope)
    async with asyncio.timeout(10):
        await done.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

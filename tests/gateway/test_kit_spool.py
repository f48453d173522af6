"""What a command says beside a running kit gets into the outbox once, whatever is killed."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from gonio.errors import UsageError
from gonio.gateway.database import StoreWriteError
from gonio.gateway.keyfile import KEY_NAME, KeyFile
from gonio.gateway.records import Capture, Draft, Priority
from gonio.gateway.reports import Report, report_draft
from gonio.gateway.spool import BELL_NAME, SPOOL_NAME, Spool, SpoolKeeper, submit
from gonio.gateway.store import KitStore
from gonio.messages import CheckIn, Kind, PatientMessage, new_record_id, read_payload
from tests.gateway.test_kit_cli import start, wait_for

CAPTURE = Capture(uuid.uuid4(), 5, "2026-03-01T10:00:00.000+01:00", "synchronised")
SAID = CheckIn(pain_after=8, note="it clicks behind the kneecap")


def keys(directory: Path) -> KeyFile:
    return KeyFile(directory / KEY_NAME)


def lying(directory: Path, pattern: str = "*") -> list[Path]:
    return sorted((directory / SPOOL_NAME).glob(pattern))


def gonio(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "GONIO_KIT_DATA_DIR": str(directory)}
    command = [sys.executable, "-m", "gonio", "gateway", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_where_no_kit_runs_the_command_commits(tmp_path: Path) -> None:
    KitStore.open(tmp_path).close()
    draft = report_draft(SAID, CAPTURE)
    assert submit(tmp_path, keys(tmp_path), draft) == "committed"
    with KitStore.open(tmp_path) as store:
        (envelope,) = store.envelopes(store.pending(10))
    assert envelope.record_id == draft.record_id
    assert read_payload(envelope) == SAID
    assert lying(tmp_path) == []


def test_without_a_kit_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no kit"):
        submit(tmp_path, keys(tmp_path), report_draft(SAID, CAPTURE))
    assert list(tmp_path.iterdir()) == []


async def test_a_running_kit_hears_at_once_and_keeps_the_order_of_urgency(tmp_path: Path) -> None:
    with KitStore.open(tmp_path) as store:
        store.commit(Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, "{}"))
        heard = asyncio.Event()
        loop = asyncio.get_running_loop()

        def committed() -> None:
            loop.call_soon_threadsafe(heard.set)

        store.listen(committed)
        keeper = asyncio.create_task(SpoolKeeper(store, keys(tmp_path)).run())
        async with asyncio.timeout(10):
            reports: list[Report] = [PatientMessage(text="thank you"), SAID]
            for number, report in enumerate(reports, 2):
                draft = report_draft(report, CAPTURE)
                assert await asyncio.to_thread(submit, tmp_path, keys(tmp_path), draft) == "handed over"
                while store.head().last_sequence < number:
                    heard.clear()
                    await heard.wait()
        keeper.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeper
        assert [e.kind for e in store.envelopes(store.pending(10))] == [Kind.CHECK_IN, Kind.CHECK_IN, Kind.MESSAGE]
        assert store.pending(10, Priority.URGENT) == [3]
    assert not (tmp_path / BELL_NAME).exists()


def test_what_lies_there_is_readable_to_nobody_without_the_key(tmp_path: Path) -> None:
    with KitStore.open(tmp_path):
        spool = Spool(tmp_path, keys(tmp_path))
        spool.put(report_draft(SAID, CAPTURE))
    (file,) = lying(tmp_path)
    assert b"kneecap" not in file.read_bytes()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_what_cannot_be_read_is_set_aside_and_blocks_nobody(tmp_path: Path) -> None:
    with KitStore.open(tmp_path) as store:
        spool = Spool(tmp_path, keys(tmp_path))
        for _ in range(4):
            spool.put(report_draft(SAID, CAPTURE))
        empty, cut, moved, good = lying(tmp_path)
        empty.write_bytes(b"")
        cut.write_bytes(cut.read_bytes()[:-1])
        moved.rename(moved.with_name(f"{new_record_id()}.draft"))  # somebody else's name
        spool.put(Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, "x" * 200_000))  # larger than the wire takes
        spool.commit_to(store)
        assert [str(e.record_id) for e in store.envelopes(store.pending(10))] == [good.stem]
        assert len(lying(tmp_path, "*.unreadable")) == len(lying(tmp_path)) == 4


def test_a_full_disk_leaves_it_lying(tmp_path: Path) -> None:
    with KitStore.open(tmp_path) as store:
        spool = Spool(tmp_path, keys(tmp_path))
        spool.put(report_draft(CheckIn(note="x" * 4000), CAPTURE))
        (pages,) = store._db.execute("PRAGMA page_count").fetchone()
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        for _ in range(100):
            spool.put(report_draft(CheckIn(note="x" * 4000), CAPTURE))
        with pytest.raises(StoreWriteError):
            spool.commit_to(store)
        assert len(lying(tmp_path)) + store.head().last_sequence == 101
        store._db.execute("PRAGMA max_page_count = 1000000")
        spool.commit_to(store)
        assert lying(tmp_path) == []
        assert store.head().last_sequence == 101


TAKER = """
import sys
from pathlib import Path
from gonio.gateway.keyfile import KEY_NAME, KeyFile
from gonio.gateway.spool import Spool
from gonio.gateway.store import KitStore

directory = Path(sys.argv[1])
store, spool = KitStore.open(directory), Spool(directory, KeyFile(directory / KEY_NAME))
print("open", flush=True)
while True:
    spool.commit_to(store)
"""


def test_kill_9_of_the_kit_commits_each_exactly_once(tmp_path: Path) -> None:
    KitStore.open(tmp_path).close()
    spool, said = Spool(tmp_path, keys(tmp_path)), []
    rng = random.Random(7)  # noqa: S311 - a test's
    for _ in range(4):
        child = subprocess.Popen([sys.executable, "-c", TAKER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()
        for _ in range(rng.randrange(5, 40)):
            draft = report_draft(SAID, CAPTURE)
            spool.put(draft)
            said.append(draft.record_id)
        os.kill(child.pid, signal.SIGKILL)
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
    with KitStore.open(tmp_path) as store:
        spool.commit_to(store)
        assert store.head().last_sequence == len(said)
        assert {envelope.record_id for envelope, _ in store.newest(1000)} == set(said)


def test_the_commands_beside_a_kit_that_runs_and_without_it(tmp_path: Path) -> None:
    with start(tmp_path, "run", stdin=subprocess.PIPE) as kit:
        wait_for(kit, "Enter begins")
        told = gonio(
            tmp_path, "check-in", "--pain", "4", "--note", "stiff", "--exercise", "heel-slide", "--reps", "10",
            "--exercise", "bridge", "--reps", "8", "--side", "left",
        )  # fmt: skip
        assert "handed to the kit" in told.stdout, told.stderr
        assert "handed to the kit" in gonio(tmp_path, "message", "May I swim?", "--ask").stdout
        kit.kill()
    assert "in the kit's outbox" in gonio(tmp_path, "message", "Thank you.").stdout
    with KitStore.peek(tmp_path) as store:
        (_, (_, state), (envelope, _)) = store.newest(10)
        check_in = read_payload(envelope)
    assert state == "pending"
    assert isinstance(check_in, CheckIn)
    assert [(one.exercise, one.reps, one.side) for one in check_in.by_hand] == [
        ("heel-slide", 10, "left"),
        ("bridge", 8, "left"),
    ]
    record = str(envelope.record_id)
    assert record in gonio(tmp_path, "records").stdout
    assert "in the kit's outbox" in gonio(tmp_path, "void", record, "--reason", "mistake").stdout
    assert "written nothing" in gonio(tmp_path, "messages").stdout
    with KitStore.peek(tmp_path) as store:
        assert [envelope.kind for envelope, _ in store.newest(1)] == [Kind.VOID]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check-in"], "says at least one thing"),
        (["check-in", "--exercise", "somersault"], "is not known"),
        (["check-in", "--exercise", "bridge", "--reps", "3", "--reps", "4"], "once for each --exercise"),
        (["void", str(uuid.UUID(int=7)), "--reason", "test"], "no session and no check-in"),
        (["message", "x" * 5000], "this cannot be sent"),
    ],
    ids=["nothing", "exercise", "reps", "void", "long"],
)
def test_what_cannot_be_sent_is_refused_in_a_sentence(tmp_path: Path, arguments: list[str], said: str) -> None:
    KitStore.open(tmp_path).close()
    refused = gonio(tmp_path, *arguments)
    assert refused.returncode != 0
    assert said in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
    assert lying(tmp_path) == []

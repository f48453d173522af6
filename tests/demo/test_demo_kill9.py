"""kill -9 of the kit, of the sink and of the broker in the middle of the uplink: every record is there, once."""

import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gonio.cloud_sink.store import open_store
from gonio.gateway.store import KitStore
from tests.demo.killable import Process

KILLS = 12
MIN_RECORDS = 100
HERE = Path(__file__).parent


@pytest.fixture
def processes() -> Iterator[Callable[..., Process]]:
    made: list[Process] = []

    def make(log: Path, *command: str) -> Process:
        made.append(Process(log, *command))
        return made[-1]

    yield make
    for process in made:
        process.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.peer("mosquitto")
def test_every_record_is_there_once_after_kills_of_all_three(tmp_path: Path, processes: Callable[..., Process]) -> None:
    port = free_port()
    url, book = f"mqtt://127.0.0.1:{port}", f"sqlite:///{tmp_path / 'clinic.sqlite'}"
    (tmp_path / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    kit_dir = tmp_path / "kit"
    script = [sys.executable, str(HERE / "kit_process.py"), str(kit_dir), url]
    broker = processes(tmp_path / "broker.log", "/usr/sbin/mosquitto", "-c", str(tmp_path / "mosquitto.conf"))
    sink = Process(
        tmp_path / "sink.log", sys.executable, "-m", "gonio", "sink", "run", "--store", book, "--broker", url
    )
    kit = processes(tmp_path / "kit.log", *script, "run")
    chance = random.Random(7)  # noqa: S311 - which victim comes next must be repeatable
    for process in (broker, sink, kit):
        process.start()
    for kill in range(KILLS):
        time.sleep(chance.uniform(0.5, 3.5))
        (kit, sink, broker)[kill % 3].kill_and_restart()
    time.sleep(4)
    for _ in range(90):  # a slow machine needs longer for a number of records that shows something
        if len(kit.committed) > MIN_RECORDS:
            break
        time.sleep(1)
    kit.end(signal.SIGKILL)  # the last cut: what is open now is closed by the next start
    drained = subprocess.run([*script, "drain"], timeout=90, check=False, capture_output=True, text=True)
    for process in (sink, broker):
        process.end(signal.SIGTERM)
    assert drained.returncode == 0, drained.stderr

    with KitStore.peek(kit_dir) as store:
        counts = store.counts()
        kit_id = store.kit_id
        on_kit = {envelope.record_id: envelope for envelope in store.envelopes(range(1, 30_000))}
    assert (counts.pending, counts.rejected) == (0, 0)
    assert counts.acknowledged == len(on_kit)
    assert kit.committed <= on_kit.keys(), "a record that the kit called committed is gone"
    assert sorted(e.sequence or 0 for e in on_kit.values()) == list(range(1, len(on_kit) + 1))
    assert [p.kills for p in (kit, sink, broker)] == [4, 4, 4]
    assert len(on_kit) > MIN_RECORDS, kit.log.read_text()[-2000:]

    with open_store(book, create=False) as clinic:
        audit = clinic.audit()
        sessions = [clinic.session(record_id) for record_id in kit.kept]
    assert (audit.records, audit.doubled, audit.gaps, audit.quarantined) == (len(on_kit), 0, (), 0)
    assert kit.kept, "no session came far enough to keep a repetition"
    for session in sessions:
        assert session is not None, "a session with kept repetitions never reached the clinic"
        assert session.kit_id == kit_id
        assert len(session.summary.reps) >= kit.kept[session.record_id]
        assert session.summary.simulated
    assert any(session.summary.interrupted for session in sessions if session is not None)

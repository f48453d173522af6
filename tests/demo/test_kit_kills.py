"""kill -9 of a kit at random moments of its sessions: the next start has every completed repetition.

Four moments in every run of the tests; GONIO_KILLS=100 takes ten minutes.
"""

import os
import random
import sys
import time
from pathlib import Path

import pytest

from gonio.gateway.session import recover
from gonio.gateway.settings import KitSettings
from gonio.gateway.store import KitStore
from gonio.messages import Kind, SessionSummary, read_payload
from tests.demo.killable import Process

KILLS = int(os.environ.get("GONIO_KILLS", "4"))
HERE = Path(__file__).parent
NOBODY = "mqtt://127.0.0.1:1"


@pytest.mark.timeout(60 + 20 * KILLS)
def test_the_next_start_has_every_completed_repetition(tmp_path: Path) -> None:
    chance = random.Random(11)  # noqa: S311 - the moments must be repeatable
    data_dir = tmp_path / "kit"
    kit = Process(tmp_path / "kit.log", sys.executable, str(HERE / "kit_process.py"), str(data_dir), NOBODY, "run")
    kit.start()
    try:
        for _ in range(KILLS):
            _begin(kit)
            time.sleep(chance.uniform(0.0, 4.0))  # a session of 40 s at twelve times life's pace
            kit.kill_and_restart()
    finally:
        kit.close()
    settings = KitSettings(data_dir=data_dir)
    with KitStore.open(data_dir, settings.keys()) as store:
        recover(store)
        assert not store.open_session_ids()
        sessions = {one.record_id: read_payload(one) for _, one, _ in store.of_kinds([Kind.SESSION])}
    assert kit.kept, "no session came far enough to keep a repetition"
    cut = 0
    for record_id, number in kit.kept.items():
        summary = sessions[record_id]
        assert isinstance(summary, SessionSummary)
        assert len(summary.reps) >= number, record_id
        cut += summary.interrupted
    assert kit.kills == KILLS
    assert cut, "no session with repetitions was cut off"


def _begin(kit: Process) -> None:
    """Wait until the kit's newest session has begun to keep repetitions; kept ones stand at its beginning, too."""
    before, until_s = dict(kit.kept), time.monotonic() + 60
    while dict(kit.kept) == before:
        assert time.monotonic() < until_s, kit.log.read_text()[-2000:]
        time.sleep(0.02)

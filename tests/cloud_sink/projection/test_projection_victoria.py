"""The real wire: Debian's VictoriaMetrics takes line protocol as InfluxDB 2 does, by a server that is not ours.

It is no InfluxDB: its samples have milliseconds, strings are not kept, a sample written twice may be there twice, and
it cannot delete by Flux's predicates. What it proves: our requests, gzip and lines are what a real server reads.
"""

import contextlib
import json
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import urllib3

from gonio.cloud_sink.projection.points import Header, draw_health, draw_session
from gonio.cloud_sink.projection.writer import CannotDeleteError, Influx, Target
from tests.broker import free_port
from tests.cloud_sink.projection.full_records import full_health, full_session

pytestmark = pytest.mark.peer("victoria-metrics")


@pytest.fixture(scope="module")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a server of the test's own; give its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    folder = tmp_path_factory.mktemp("victoria")
    program = shutil.which("victoria-metrics") or "victoria-metrics"
    server = subprocess.Popen(
        [program, f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={folder}", "-retentionPeriod=100y"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            assert server.poll() is None
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                urllib3.request("GET", f"{url}/health", retries=False)
                break
            time.sleep(0.02)
        yield url
    finally:
        server.terminate()
        server.wait()


def series(url: str, match: str) -> list[dict[str, Any]]:
    """Give what the server has, once it has it: it shows what is new within a second or two."""
    while True:
        urllib3.request("GET", f"{url}/internal/force_flush")
        answer = urllib3.request("GET", f"{url}/api/v1/export", fields={"match[]": match, "start": "0"})
        if found := [json.loads(line) for line in answer.data.splitlines()]:
            return found
        time.sleep(0.1)


def test_a_session_arrives_point_by_point(victoria: str) -> None:
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    record_id = uuid.UUID(int=1)
    summary = full_session()
    drawn = draw_session(Header(record_id, "kit-001", "none", at, "synchronised"), summary)
    with Influx(Target(victoria, "clinic", "gonio")) as influx:
        influx.write(drawn.lines)
    (curve,) = series(victoria, "angle_flexion_deg")
    assert summary.curve is not None
    assert curve["values"] == list(summary.curve.flexion_deg)
    assert curve["timestamps"][1] - curve["timestamps"][0] == 300
    assert (
        curve["metric"].items()
        >= {
            "clock": "synchronised",
            "device": "movesense+xsens-dot",
            "episode": "none",
            "exercise": "heel-slide",
            "kit": "kit-001",
            "side": "left",
            "source": "sensor",
        }.items()
    )
    (ranges,) = series(victoria, "repetition_rom_deg")
    assert ranges["values"] == [rep.rom_deg for rep in summary.reps]
    (repetitions,) = series(victoria, "session_repetitions")
    assert repetitions["values"] == [2]


def test_what_stands_in_tags_arrives_to_the_letter(victoria: str) -> None:
    odd = "kit, =\u00e4"
    with Influx(Target(victoria, "clinic", "gonio")) as influx:
        influx.write(draw_health(uuid.UUID(int=2), odd, datetime.now(UTC), full_health()).lines)
    assert [found["metric"]["kit"] for found in series(victoria, "kit_health_pending")] == [odd]


def test_a_server_without_deletion_is_known_as_such(victoria: str) -> None:
    with Influx(Target(victoria, "clinic", "gonio")) as influx, pytest.raises(CannotDeleteError):
        influx.delete("session", 0, 1)

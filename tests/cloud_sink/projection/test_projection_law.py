"""The law: whatever happened before, what stands in the server is what a first projection of the book would write."""

import contextlib
import itertools
import json
import shutil
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gonio.cloud_sink.engine import open_engine
from gonio.cloud_sink.projection.writer import ServerAwayError
from gonio.cloud_sink.store import open_store
from gonio.errors import UsageError
from gonio.messages import Envelope
from tests.cloud_sink.projection.conftest import Bench
from tests.cloud_sink.projection.influx_server import Answer, running_influx

Make = Callable[..., Envelope]

_BOOTS = [uuid.UUID(int=n) for n in (21, 22)]

#: What may happen, with a number that says which kit, boot, record or day.
happenings = st.lists(
    st.tuples(
        st.sampled_from(
            ["session", "unsynchronised", "check-in", "void", "bind", "unbind", "project", "away", "lost", "rebuild"]
        ),
        st.integers(0, 11),
    ),
    min_size=5,
    max_size=25,
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a book without a record, to be copied."""
    path = tmp_path_factory.mktemp("law") / "empty.db"
    open_store(f"sqlite:///{path}").close()
    return path


class Clinic:
    """A kit, two patients and what happens to them."""

    def __init__(self, bench: Bench, envelope: Make) -> None:
        self._bench = bench
        self._envelope = envelope
        self._patients = [bench.store.add_patient(name, "UTC") for name in ("A", "B")]
        self._sequences = itertools.count(1)
        self._records: list[uuid.UUID] = []

    def happens(self, what: str, number: int) -> None:
        if what in {"session", "unsynchronised", "check-in"}:
            self._capture(what, number)
        elif what == "void":
            self._void(number)
        elif what in {"bind", "unbind"}:
            with contextlib.suppress(UsageError):  # nobody has it then, or somebody had it later
                self._hand_over(what, self._bench.now - timedelta(hours=6 * number), number % 2)
        elif what == "rebuild":
            self._bench.register(rebuild=True)
        else:
            self._project(what, 1 + number % 2)

    def _capture(self, what: str, number: int) -> None:
        record = self._envelope(
            next(self._sequences),
            kind="check-in" if what == "check-in" else "session",
            captured=self._bench.now - timedelta(hours=6 * number + 1),
            clock="unsynchronised" if what == "unsynchronised" else "synchronised",
            boot_id=_BOOTS[number % 2],
            monotonic_ns=(100 - number) * 6 * 3600 * 10**9,
        )
        self._bench.take_in(record)
        self._records.append(record.record_id)

    def _void(self, number: int) -> None:
        target = self._records[number % len(self._records)] if self._records else uuid.UUID(int=99)
        payload = json.dumps({"record_id": str(target), "reason": "mistake"})
        self._bench.take_in(self._envelope(next(self._sequences), kind="void", payload=payload))

    def _hand_over(self, what: str, at: datetime, whom: int) -> None:
        if what == "bind":
            self._bench.store.bind_kit("kit-001", self._patients[whom], since=at)
        else:
            self._bench.store.unbind_kit("kit-001", at=at)

    def _project(self, how: str, failures: int) -> None:
        if how != "project":
            self._bench.server.answers = [Answer(503, after=how == "lost")] * failures
        with contextlib.suppress(ServerAwayError):
            self._bench.project()
        self._bench.server.answers = []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=happenings)
def test_the_server_has_what_the_book_says(
    story: list[tuple[str, int]], empty: Path, tmp_path: Path, envelope: Make, now: datetime
) -> None:
    path = tmp_path / f"{uuid.uuid4()}.db"
    shutil.copy(empty, path)
    url = f"sqlite:///{path}"
    with running_influx() as server, open_store(url) as store:
        bench = Bench(store, open_engine(url, create=False), server, now)
        bench.register()
        clinic = Clinic(bench, envelope)
        for what, number in story:
            clinic.happens(what, number)
        bench.project()
        assert server.snapshot() == bench.fresh()
        bench.engine.dispose()

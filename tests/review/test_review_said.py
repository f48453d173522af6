"""What a patient said stands on their page, apart from what was measured; what is struck out stays and never counts."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from examples.review_sample import make_session
from gonio.cloud_sink.clinic_book import ClinicBook
from gonio.cloud_sink.review.patient_view import PatientView, view_patient
from gonio.cloud_sink.schema import HOME_CLINIC
from gonio.cloud_sink.store import Store, open_store
from gonio.messages import CheckIn, Envelope, SessionSummary, VoidReport, new_record_id, payload_text, wire_time
from gonio.messages.check_in import HandExercise

NOW = datetime(2026, 3, 5, 18, 0, tzinfo=UTC)


class Patient:
    """A patient with a kit, in a book of their own."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.patient_id = store.add_patient("Alex Example", "America/New_York")
        store.bind_kit("kit-001", self.patient_id, since=NOW - timedelta(days=9))
        self._outbox, self._boot, self._sequence = uuid4(), uuid4(), 0

    def send(self, report: SessionSummary | CheckIn | VoidReport, *, hours_ago: float) -> Envelope:
        """Let the kit send a record."""
        self._sequence += 1
        kind = {SessionSummary: "session", CheckIn: "check-in", VoidReport: "void"}[type(report)]
        envelope = Envelope(
            record_id=new_record_id(),
            kind=kind,
            kit_id="kit-001",
            outbox_id=self._outbox,
            sequence=self._sequence,
            boot_id=self._boot,
            monotonic_ns=self._sequence,
            captured_at=wire_time(NOW - timedelta(hours=hours_ago)),
            clock="synchronised",
            schema_version=report.SCHEMA_VERSION,
            payload=payload_text(report),
        )
        (ack,) = self.store.ingest("kit-001", [envelope], NOW)
        assert ack.status == "stored", ack
        return envelope

    @property
    def view(self) -> PatientView:
        """Their page."""
        row = self.store.patient(self.patient_id)
        assert row is not None
        return view_patient(ClinicBook(self.store, self.store._engine, HOME_CLINIC), row, NOW)


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Patient]:
    with open_store(f"sqlite:///{tmp_path}/book.sqlite") as store:
        yield Patient(store)


def test_what_was_said_is_told_worst_first_in_words(patient: Patient) -> None:
    patient.send(
        CheckIn(pain_before=2, pain_during=4, effort=6, symptoms=("swelling",), stop_reason="done"), hours_ago=4
    )
    patient.send(CheckIn(pain_after=8, note="<b>it burns</b>", author="caregiver"), hours_ago=3)
    hand = HandExercise(exercise="heel-slide", side="left", sets=2, reps=10)
    patient.send(CheckIn(by_hand=(hand,), steps=1, said_by="simulated"), hours_ago=2)
    patient.send(CheckIn(red_flags=("calf-swelling",), stop_reason="pain"), hours_ago=1)
    flag, hand_line, severe, first = patient.view.said
    assert (flag.word, flag.pain, flag.rest) == ("Red flag", "not told", ("calf swelling", "stopped for pain"))
    assert hand_line.rest == ("heel slide, left: 2 sets of 10 repetitions, without sensors", "1 step")
    assert hand_line.tags == ("Simulated",)
    assert (severe.word, severe.pain, severe.note, severe.tags) == (
        "Severe pain",
        "after 8",
        "<b>it burns</b>",
        ("By a caregiver",),
    )
    assert (first.word, first.pain) == ("", "before 2, during 4")
    assert first.rest == ("effort 6 of 10", "swelling", "done")
    assert first.when == "Thursday, 5 March 2026, 9:00"
    assert "simulated" in patient.view.sources


def test_a_struck_out_session_stays_and_is_in_no_trend(patient: Patient) -> None:
    kept = patient.send(make_session(reps=3, peak_deg=80), hours_ago=30)
    strange = patient.send(make_session(reps=3, peak_deg=130), hours_ago=2)
    said = patient.send(CheckIn(pain_after=3), hours_ago=1)
    patient.send(VoidReport(record_id=strange.record_id, reason="not-me"), hours_ago=0.5)
    patient.store.void_record(said.record_id, "entered for another patient", "operator:test")
    view = patient.view
    assert [line.address for group in view.days for line in group.sessions] == [
        f"/sessions/{strange.record_id}",
        f"/sessions/{kept.record_id}",
    ]
    assert view.struck == {f"/sessions/{strange.record_id}": "by the patient: it was somebody else"}
    assert len(view.trends) == 1
    assert "largest flexion 82°" in view.trends[0].title  # as make_session makes its last repetition
    assert "130" not in view.trends[0].title
    assert [(line.struck, line.tags) for line in view.said] == [(True, ("Struck out",))]


async def test_a_note_is_text_on_the_page(
    patient: Patient, ask_app: Callable[..., Awaitable[Any]], make_app: Callable[..., Any]
) -> None:
    patient.send(CheckIn(pain_after=8, note="<script>alert(1)</script>"), hours_ago=3)
    app = make_app(ClinicBook(patient.store, patient.store._engine, HOME_CLINIC), lambda: NOW)
    answer = await ask_app(app, f"/patients/{patient.patient_id}")
    assert answer.status == 200
    assert "What the patient says" in answer.text
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text

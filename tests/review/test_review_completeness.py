"""The pages of completeness: what is missing is said, with what is known of it and what to do."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from examples.completeness_sample import SILENT, TROUBLED, SampleProof
from examples.review_sample import SampleBook, make_session
from gonio.cloud_sink.review import completeness_view
from gonio.cloud_sink.schema import HOME_CLINIC
from gonio.cloud_sink.store import open_store
from gonio.messages import Envelope, HealthReport, SessionSummary, new_record_id, wire_time

MakeApp = Callable[..., Any]
Get = Callable[..., Awaitable[Any]]
OUTBOX = UUID(int=1)


def words(html: str) -> str:
    text = re.sub(r"<[^>]+>", " ", html.partition("<main")[2])
    return " ".join(text.replace("\N{EN DASH}", "-").split())


async def test_kits_that_need_somebody_stand_first(get: Get) -> None:
    text = (await get("/completeness")).text
    order = re.findall(r'href="/completeness/kits/([^"]+)"', text)
    assert order == [TROUBLED, "kit-red", "kit-blue", "kit-demo", "kit-green", SILENT]
    said = words(text)
    assert "■ Lost records" in said
    assert "▲ Gaps" in said
    assert "● On their way" in said
    assert "Over 10 million records are lost: open the kits marked so." in said


async def test_simulated_kits_wear_the_band_and_a_tag(get: Get) -> None:
    text = (await get("/completeness")).text
    assert "Simulated data" in text
    assert '<span class="tag">Simulated</span>' in text
    assert "Simulated data" in (await get("/completeness/kits/kit-demo")).text
    assert "Simulated data" not in (await get("/completeness/kits/kit-blue")).text


async def test_a_kit_is_told_day_by_day_with_what_is_not_here(get: Get) -> None:
    said = words((await get(f"/completeness/kits/{TROUBLED}")).text)
    assert "40-44 5 ■ Lost here Fri, 2 Oct 2026 to Sun, 4 Oct 2026, by its neighbours" in said
    assert "■ Lost on the kit on or before Sun, 4 Oct 2026" in said
    assert "Mon, 23 Nov 2026 3 270-272" in said
    assert "this record id is already in the book with other content" in said


async def test_days_go_page_by_page(get: Get) -> None:
    first = (await get("/completeness/kits/kit-blue")).text
    older = re.findall(r'href="(/completeness/kits/kit-blue\?before=[^"]+)"', first)
    assert older == ["/completeness/kits/kit-blue?before=2026-10-25"]
    second = words((await get(older[0])).text)
    assert "Sat, 24 Oct 2026 3" in second
    assert "Sun, 25 Oct 2026 3" not in second
    assert "Newest days" in second


async def test_many_kits_stand_on_several_pages(get: Get, book: SampleBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completeness_view, "KITS_A_PAGE", 4)
    first, second = [(await get(f"/completeness?page={n}")).text for n in (1, 2)]
    assert len(re.findall(r'href="/completeness/kits/', first)) == 4
    assert len(re.findall(r'href="/completeness/kits/', second)) == 2
    assert 'href="/completeness?page=2" rel="next"' in first
    assert 'href="/completeness?page=1" rel="prev"' in second
    assert (await get("/completeness?page=0")).status == 404


async def test_empty_pages_say_what_will_appear(get: Get, book: SampleBook) -> None:
    assert "No record yet. They appear here" in words((await get(f"/completeness/kits/{SILENT}")).text)
    book.proof = SampleProof(())
    assert "No kit yet" in words((await get("/completeness")).text)
    assert "Nothing was refused" in words((await get("/completeness/quarantine")).text)
    assert "Nothing has been noted yet" in words((await get("/log/check")).text)


async def test_a_changed_log_is_said_with_the_place(get: Get, book: SampleBook) -> None:
    assert "● Unchanged" in words((await get("/log/check")).text)
    book.proof = SampleProof(changed=True)
    said = words((await get("/log/check")).text)
    assert "■ Changed" in said
    assert "Row 97: its content is not what was written." in said


async def test_an_unknown_kit_is_not_here(get: Get) -> None:
    assert (await get("/completeness/kits/kit-elsewhere")).status == 404
    assert (await get("/completeness/kits/kit-blue?before=yesterday")).status == 404


async def test_what_a_kit_sends_is_escaped(get: Get, book: SampleBook) -> None:
    state = book.proof.kits[0]
    book.proof.kits[0] = type(state)(state.kit_id, "<b>label</b>", state.heard_at, state.outboxes, 0, state.report)
    assert "<b>label" not in (await get("/completeness")).text


async def test_the_pages_show_what_the_clinics_store_has(tmp_path: Path, ask_app: Get, make_app: MakeApp) -> None:
    now = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
    sent: dict[str, Any] = {"kit_id": "kit-1", "boot_id": uuid4(), "clock": "synchronised"}
    session = {"kind": "session", "outbox_id": OUTBOX, "schema_version": SessionSummary.SCHEMA_VERSION}

    def record(sequence: int) -> Envelope:
        at = {
            "sequence": sequence,
            "monotonic_ns": sequence,
            "captured_at": wire_time(now - timedelta(days=9 - sequence)),
        }
        return Envelope(record_id=new_record_id(), payload=make_session().model_dump_json(), **sent, **session, **at)

    report = HealthReport(software="x", pending=2, outbox_id=OUTBOX, last_sequence=8, oldest_pending=7, simulated=True)
    health = Envelope(
        record_id=new_record_id(), kind="health", schema_version=2, monotonic_ns=99, captured_at=wire_time(now),
        payload=report.model_dump_json(), **sent,
    )  # fmt: skip
    with open_store(f"sqlite:///{tmp_path}/clinic.db") as store:
        store.ingest("kit-1", [record(n) for n in (1, 2, 5, 6)], now)
        store.ingest("kit-1", [health], now)
        app = make_app(store.of_clinic(HOME_CLINIC), lambda: now + timedelta(minutes=5))
        listed = words((await ask_app(app, "/completeness")).text)
        assert "kit-1 Simulated ■ Lost records 5 min ago Sun, 22 Nov 2026, 20:00 UTC 4 2 2" in listed
        kit = words((await ask_app(app, "/completeness/kits/kit-1")).text)
        assert "3-4 2 ■ Lost here Sun, 15 Nov 2026 to Wed, 18 Nov 2026, by its neighbours" in kit
        assert "7-8 2 ● On its way on or after Thu, 19 Nov 2026" in kit
        assert (await ask_app(app, "/completeness/quarantine")).status == 200
        assert "Nothing has been noted" in words((await ask_app(app, "/log/check")).text)

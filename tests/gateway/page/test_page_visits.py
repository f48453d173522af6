"""The patient's page without script: every page opens, every form keeps what it says, and nothing is kept twice."""

import asyncio
import json
import uuid
from datetime import time, timedelta

import pytest

from gonio.gateway.page.home import Home
from gonio.messages import Kind, read_payload
from gonio.messages.check_in import CheckIn
from gonio.messages.down import Prescribed, Wipe
from gonio.messages.patient import PatientMessage, Preference
from tests.gateway.page.conftest import HEEL_SLIDE, MESSAGE, Visitor, down, program

PAGES = ["/", "/progress", "/messages", "/reminders", "/pause", "/more", "/help", "/phones", "/data", "/log", "/live"]


def kept(home: Home, kind: Kind) -> list[object]:
    return [read_payload(envelope) for _, envelope, _ in home.kit.store.of_kinds([kind])]


@pytest.mark.parametrize("path", [*PAGES, "/exercise/heel-slide/right"])
async def test_every_page_opens_with_nothing_and_with_everything(visitor: Visitor, path: str) -> None:
    for _ in range(2):
        answer = await visitor.get(path)
        assert answer.status_code == 200
        assert "Nobody watches this in real time." in answer.text
        assert "911" in answer.text
        down(visitor.home.kit, program(simulated=True), 1)
        down(visitor.home.kit, MESSAGE, 2)
    assert "Lakeside Knee Clinic" in answer.text
    assert "Simulated." in answer.text


async def test_today_says_what_is_left_and_how_much(visitor: Visitor) -> None:
    assert "Your program is not here yet" in (await visitor.get("/")).text
    down(visitor.home.kit, program(HEEL_SLIDE, Prescribed(exercise="bridge", side="left", reps=8)), 1)
    text = (await visitor.get("/")).text
    for said in ("2 exercises to do", "Heel slide", "right leg", "5 times, bend to 90°", "2 of 2 sets left", "Bridge"):
        assert said in text


async def test_an_exercise_done_by_hand_counts_and_stays_marked(visitor: Visitor) -> None:
    down(visitor.home.kit, program(), 1)
    form = {"exercise": "heel-slide", "side": "right", "sets": "1", "reps": "5", "pain_after": "2"}
    answer = await visitor.post("/log", form)
    assert answer.status_code == 303
    assert "You can go on" in (await visitor.get(answer.headers["location"])).text
    (check_in,) = kept(visitor.home, Kind.CHECK_IN)
    assert isinstance(check_in, CheckIn)
    assert check_in.by_hand[0].reps == 5
    assert "1 of 2 sets left" in (await visitor.get("/")).text


@pytest.mark.parametrize(
    ("form", "advice"),
    [
        ({"pain_after": "3"}, "You can go on"),
        ({"pain_after": "5"}, "Take it easier"),
        ({"pain_after": "8"}, "Rest for today"),
        ({"red_flags": ["fever"]}, "Call your clinic or a doctor today"),
        ({"red_flags": ["fever", "chest-pain"]}, "Call 911 now"),
        ({"stop_reason": "pain"}, "Take it easier"),
    ],
)
async def test_guidance_follows_what_is_told(visitor: Visitor, form: dict[str, object], advice: str) -> None:
    answer = await visitor.post("/log", form)
    assert advice in (await visitor.get(answer.headers["location"])).text


async def test_a_double_tap_is_one_record(visitor: Visitor) -> None:
    form = {"record_id": str(uuid.uuid4()), "pain_after": "4", "note": "😀 <b>bold</b>\r\nsecond line"}
    places = {(await visitor.post("/log", form)).headers["location"] for _ in range(3)}
    assert len(places) == 1
    (check_in,) = kept(visitor.home, Kind.CHECK_IN)
    assert isinstance(check_in, CheckIn)
    assert check_in.note == "😀 <b>bold</b>\nsecond line"


@pytest.mark.parametrize(
    "form", [{}, {"note": "x" * 4001}, {"pain_after": "11"}, {"pain_after": "-1"}, {"steps": "many"}, {"note": "  "}]
)
async def test_what_cannot_be_meant_is_told_and_stands_where_it_was_written(
    visitor: Visitor, form: dict[str, str]
) -> None:
    answer = await visitor.post("/log", form)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert form.get("note", "") in answer.text
    assert kept(visitor.home, Kind.CHECK_IN) == []


async def test_messages_are_escaped_read_and_answered(visitor: Visitor) -> None:
    down(visitor.home.kit, MESSAGE.model_copy(update={"text": "<script>alert(1)</script>"}), 1)
    assert ">1<" in (await visitor.get("/")).text  # the badge
    text = (await visitor.get("/messages")).text
    assert "&lt;script&gt;" in text
    assert "<script>alert" not in text
    (receipt, read) = kept(visitor.home, Kind.RECEIPT)
    assert [receipt.status, read.status] == ["received", "read"]  # type: ignore[attr-defined]
    await visitor.get("/messages")
    assert len(kept(visitor.home, Kind.RECEIPT)) == 2
    await visitor.post("/messages", {"text": "When may I drive?", "ask": "1"})
    (message,) = kept(visitor.home, Kind.MESSAGE)
    assert isinstance(message, PatientMessage)
    assert message.ask
    assert "waits to be sent" in (await visitor.get("/messages")).text


async def test_reminders_are_kept_whole_and_opting_out_reaches_the_clinic(visitor: Visitor) -> None:
    form = {"at_0": "09:00", "at_1": "17:30", "weekdays": ["1", "3"], "quiet_from": "21:00", "quiet_to": "08:00"}
    assert (await visitor.post("/reminders", form)).status_code == 303
    await visitor.post("/pause", {"reason": "travel", "since": "2026-01-01", "until": "2026-01-03"})
    await visitor.post("/reminders", form | {"off": "1"})
    preference = kept(visitor.home, Kind.PREFERENCE)[-1]
    assert isinstance(preference, Preference)
    assert [one.at for one in preference.reminders] == [time(9), time(17, 30)]
    assert preference.reminders[0].weekdays == (1, 3)
    assert preference.opt_outs == ("reminders",)
    assert preference.pause is not None  # what another page had set stays
    assert 'value="17:30"' in (await visitor.get("/reminders")).text
    assert (await visitor.post("/reminders", {"at_0": "25:00"})).status_code == 422


async def test_a_reminder_comes_once_and_can_be_put_off(visitor: Visitor) -> None:
    home = visitor.home
    down(home.kit, program(), 1)
    at = (await home.look()).now - timedelta(minutes=1)
    form = {"at_0": at.strftime("%H:%M"), "weekdays": [str(n) for n in range(1, 8)]}
    await visitor.post("/reminders", form)
    await home.check_reminders()
    assert (await visitor.get("/state")).json()["reminder"] is True
    await visitor.post("/snooze", {"minutes": "60"})
    await home.check_reminders()
    assert (await visitor.get("/state")).json()["reminder"] is False


async def test_a_pause_expects_nothing_and_ends(visitor: Visitor) -> None:
    down(visitor.home.kit, program(), 1)
    await visitor.post("/pause", {"reason": "vacation"})
    text = (await visitor.get("/")).text
    assert "A pause" in text
    assert "Nothing is expected of you today" in text
    await visitor.post("/pause", {"end": "1"})
    assert "1 exercise to do" in (await visitor.get("/")).text
    assert (await visitor.post("/pause", {"since": "2026-02-02", "until": "2026-02-01"})).status_code == 422


async def test_while_sharing_is_paused_only_what_is_urgent_leaves(visitor: Visitor) -> None:
    store = visitor.home.kit.store
    await visitor.post("/data", {"sharing": "off"})
    await visitor.post("/log", {"pain_after": "2"})
    await visitor.post("/log", {"pain_after": "9"})
    assert [one.kind for one in store.envelopes(store.pending(10))] == [Kind.PREFERENCE, Kind.CHECK_IN]
    assert "Sharing is paused" in (await visitor.get("/")).text
    await visitor.post("/data", {"sharing": "on"})
    assert len(store.pending(10)) == 4


async def test_the_export_holds_every_record(visitor: Visitor) -> None:
    await visitor.post("/log", {"note": "größer"})
    answer = await visitor.get("/data/export")
    assert "attachment" in answer.headers["content-disposition"]
    (record,) = json.loads(answer.text)["records"]
    assert record["content"]["note"] == "größer"


async def test_a_strange_exercise_or_record_is_not_here(visitor: Visitor) -> None:
    for path in ("/exercise/juggling/right", "/exercise/heel-slide/both", f"/done/{uuid.uuid4()}", "/after/x", "/nope"):
        answer = await visitor.get(path)
        assert answer.status_code == 404
        assert "Nothing was lost" in answer.text


async def test_a_message_that_is_too_long_is_not_cut_but_told(visitor: Visitor) -> None:
    answer = await visitor.post("/messages", {"text": "x" * 4001})
    assert answer.status_code == 422
    assert "x" * 4001 in answer.text
    assert kept(visitor.home, Kind.MESSAGE) == []


async def test_two_phones_that_change_different_wishes_at_once_keep_both(visitor: Visitor) -> None:
    await asyncio.gather(
        visitor.post("/data", {"sharing": "off"}),
        visitor.post("/pause", {"reason": "travel"}),
        visitor.post("/reminders", {"at_0": "08:00", "weekdays": ["1"]}),
    )
    preference = (await visitor.home.look()).history.preference
    assert preference.pause is not None
    assert preference.opt_outs == ("sharing",)
    assert len(preference.reminders) == 1


async def test_a_wiped_kit_knows_neither_patient_nor_phones_and_its_page_goes_on(visitor: Visitor) -> None:
    home = visitor.home
    down(home.kit, program(), 1)
    await visitor.post("/log", {"pain_after": "2"})
    before = home.kit.store
    down(home.kit, Wipe(do="wipe", at_once=True), 2)
    home.kit._works.desk.called(None)  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        while home.kit.store is before:
            await asyncio.sleep(0.02)
            await home.check_reminders_safely()
    assert (await visitor.get("/")).headers["location"] == "/pair"
    look = await home.look()
    assert (look.history.check_ins, look.programs, home.phones.all()) == ((), (), ())

"""The live desk with a simulated leg: two phones at once, a phone that goes away, a stranger, a silent sensor."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gonio.demo.scene import Scene, scene, simulated_leg
from gonio.gateway import events
from gonio.gateway.kit import Kit
from gonio.gateway.page.exercise_pages import _shown
from gonio.gateway.page.home import Home
from gonio.gateway.page.languages import speech
from gonio.gateway.page.live import LiveView, Phase, Wanted
from gonio.gateway.records import PairedSensor
from gonio.gateway.settings import KitSettings
from gonio.gateway.signs import Light, Sound
from gonio.messages import Kind
from gonio.simulators.world import World
from tests.gateway.page.conftest import ZONE, Visitor, down, program, visitor_of

HEEL_SLIDE = "/exercise/heel-slide/right"


class HeardSigns:
    """A lamp and a loudspeaker that remember."""

    def __init__(self) -> None:
        self.lights: list[Light] = []
        self.sounds: list[Sound] = []

    def light(self, name: Light) -> None:
        self.lights.append(name)

    def sound(self, name: Sound) -> None:
        self.sounds.append(name)


@asynccontextmanager
async def worn(folder: Path, *, paired: bool = True) -> AsyncIterator[tuple[Visitor, Scene, HeardSigns]]:
    """Put sensors on a simulated leg whose motion begins at once, four times as fast."""
    world, signs = World(4.0), HeardSigns()
    async with scene(simulated_leg("heel-slide", 60.0, "right", 1), "movella_dot", world, seed=1) as leg:
        kit = Kit(
            KitSettings(data_dir=folder, broker="mqtt://127.0.0.1:1", scan_s=3),
            source="simulated",
            monotonic_ns=world.monotonic_ns,
            scanner_backend=leg.scanner_backend,
            client_backend=leg.client_backend,
        )
        async with (
            kit,
            Home(
                kit,
                zone=ZONE,
                signs=signs,
            ) as home,
            visitor_of(home) as visitor,
        ):
            if paired:
                await kit.find_and_pair(thigh=leg.sensors["thigh"].address, shank=leg.sensors["shank"].address)
            else:
                lost = (PairedSensor("thigh", "AA:00:00:00:00:01", "movella_dot", "lost"),)
                kit.store.pair((*lost, PairedSensor("shank", "AA:00:00:00:00:02", "movella_dot", "lost")))
            down(kit, program(), 1)
            yield visitor, leg, signs


async def counted(home: Home, reps: int) -> None:
    """Wait until so many repetitions are counted; a session that ends before is a failure."""
    async with asyncio.timeout(60):
        async for view in home.live.views():
            if view.reps >= reps:
                return
            assert view.phase is not Phase.IDLE, view.error


async def running(home: Home) -> None:
    async with asyncio.timeout(30):
        async for view in home.live.views():
            if view.phase is Phase.RUNNING:
                return
            assert view.phase is not Phase.IDLE, view.error


@pytest.mark.timeout(120)
async def test_two_phones_a_phone_that_goes_away_and_another_program_in_mid_set(tmp_path: Path) -> None:
    async with worn(tmp_path) as (visitor, leg, signs):
        home = visitor.home
        first, second = await asyncio.gather(visitor.post(HEEL_SLIDE), visitor.post(HEEL_SLIDE))  # a double tap, too
        assert first.headers["location"] == second.headers["location"] == "/live"
        await running(home)
        leg.world.begin_motion()
        record_id = home.live.view.record_id
        watching = home.live.views()
        assert (await anext(watching)).runs
        del watching  # the phone is locked: nobody watches
        down(home.kit, program(version=2), 2)  # the therapist changes the program
        assert "of 5" in (await visitor.get("/live")).text
        await visitor.post("/live/pause", {"pause": "on"})
        assert "Go on" in (await visitor.get("/live")).text
        await visitor.post("/live/pause", {"pause": "off"})
        await counted(home, 2)
        answer = await visitor.post("/live/stop", {"why": "pain"})
        assert answer.headers["location"] == f"/after/{record_id}?why=pain"
        assert (await visitor.post("/live/stop")).headers["location"] == f"/after/{record_id}"  # tapped once more
        form = {"stop_reason": "pain", "pain_during": "7"}
        done = await visitor.post(f"/after/{record_id}", form)
        text = (await visitor.get(done.headers["location"])).text
        assert "Rest for today" in text
        assert "your goal" not in text  # nobody is praised for what hurt
        assert (await visitor.get(f"/after/{record_id}")).headers["location"] == f"/done/{record_id}"  # the back button
        assert len(home.kit.store.of_kinds([Kind.SESSION])) == 1
        assert signs.lights[:4] == ["ready", "connecting", "recording", "ready"]
        assert signs.sounds.count("repetition") >= 2
        progress = (await visitor.get("/progress")).text
        assert "1 exercise day in a row" in progress


@pytest.mark.timeout(120)
async def test_a_strangers_try_is_kept_and_never_counted(tmp_path: Path) -> None:
    async with worn(tmp_path) as (visitor, leg, _):
        home = visitor.home
        await visitor.post(HEEL_SLIDE, {"who": "other"})
        await running(home)
        leg.world.begin_motion()
        await counted(home, 1)
        assert home.kit.store.of_kinds([Kind.VOID]), "a power cut now would make it count"
        answer = await visitor.post("/live/stop", {"why": "done"})
        assert "It is struck out" in (await visitor.get(answer.headers["location"])).text
        kinds = [envelope.kind for _, envelope, _ in home.kit.store.of_kinds([Kind.SESSION, Kind.VOID])]
        assert kinds == [Kind.VOID, Kind.SESSION]
        assert "2 of 2 sets left" in (await visitor.get("/")).text


@pytest.mark.timeout(120)
async def test_a_silent_sensor_is_told_in_words_and_the_button_begins_and_ends(tmp_path: Path) -> None:
    async with worn(tmp_path, paired=False) as (visitor, _, signs):
        home = visitor.home
        await home.press()
        assert home.live.view.wanted is not None
        assert home.live.view.wanted.exercise == "heel-slide"
        async with asyncio.timeout(30):
            async for view in home.live.views():
                if not view.runs:
                    break
        text = (await visitor.get("/live")).text
        assert "It did not start" in text
        assert "A sensor was not found." in text
        assert signs.lights[-1] == "trouble"


async def test_the_stream_gives_the_newest_view(visitor: Visitor) -> None:
    received = []
    async with asyncio.timeout(10):
        async for view in visitor.home.live.views():
            received.append(view.number)
            visitor.home.live.shake()
            if len(received) == 3:
                break
    assert received == sorted(set(received))
    assert json.loads((await visitor.get("/state")).text) == {"reminder": False, "runs": False, "unread": 0}


async def test_what_a_person_can_mend_is_told_while_it_runs(visitor: Visitor) -> None:
    live = visitor.home.live
    live.view = LiveView(phase=Phase.RUNNING, wanted=Wanted("bridge", "left", ceiling_deg=90.0))
    for event in (
        events.Noticed(("sensors-exchanged", "sign-uncertain")),
        events.Trouble("the shank sensor has 9 % of its charge left: charge it", "shank-battery"),
        events.SensorLost("thigh", "gone"),
        events.LiveAngle(3.0, 95.0, 0, 4.0),
    ):
        live._heed(event)
    shown = _shown(live.view, speech("en"))
    assert [str(text)[:22] for text in shown["notices"]] == ["The two sensors seem t", "The sensor on the shin"]  # type: ignore[attr-defined]
    assert (shown["lost"], shown["beyond"]) == (["thigh"], True)
    live.view = LiveView(number=live.view.number)

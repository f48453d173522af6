"""A kit that was given its sensors takes no others: two kits in one household never measure each other's patients."""

import asyncio
from pathlib import Path

import pytest

from gonio.drivers.link_errors import SensorNotFoundError
from gonio.errors import UsageError
from gonio.gateway.allowed_sensors import SENSORS_NAME, AllowedSensors, OtherSensorError, keep_allowed, read_allowed
from gonio.gateway.identity_folder import IdentityFolder
from gonio.gateway.records import PairedSensor
from gonio.messages import AllowSensors
from tests.gateway.test_kit_bluetooth import SHANK, THIGH, bench, run
from tests.gateway.test_kit_inbox import CAPTURE, receipts, sent

NEIGHBOURS = "D4:22:CD:99:99:99"


def given(thigh: str = THIGH, shank: str = SHANK) -> AllowSensors:
    return AllowSensors(do="sensors", thigh=thigh, shank=shank)


async def test_the_clinics_sensors_are_paired_and_used_without_anybody_asking(tmp_path: Path) -> None:
    """A sensor that was swapped is a new list: the next session finds it by itself."""
    async with bench(tmp_path) as b:
        other = PairedSensor("thigh", NEIGHBOURS, "movella_dot", "neighbour's")
        b.kit.store.pair([other, PairedSensor("shank", SHANK, "witmotion_ble5", "ours")])
        (envelope,) = b.kit.store.receive([sent(b.kit.store, given(THIGH.lower(), SHANK))], CAPTURE)
        b.kit._works.desk.called(envelope)
        async with asyncio.timeout(30):
            while len(receipts(b.kit.store)) < 2:  # noqa: ASYNC110 - the store is a value to look at
                await asyncio.sleep(0.02)
        assert [(one.status, one.reason) for one in receipts(b.kit.store)][-1] == ("applied", None)
        assert b.kit.store.pairing() == {}
        await run(b, [])
        assert {s: p.address for s, p in b.kit.store.pairing().items()} == {"thigh": THIGH, "shank": SHANK}


async def test_others_are_refused_and_it_is_said_why(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        keep_allowed(b.settings.data_dir, given(THIGH, NEIGHBOURS))
        with pytest.raises(OtherSensorError, match=f"not the shank sensor that the clinic gave .* shank {NEIGHBOURS}"):
            await b.kit.find_and_pair(thigh=THIGH, shank=SHANK)
        with pytest.raises(OtherSensorError, match="not the thigh sensor"):
            await b.kit.find_and_pair(thigh=SHANK)
        assert b.kit.store.pairing() == {}


async def test_a_pairing_from_before_is_not_connected_to(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.kit.find_and_pair(thigh=THIGH, shank=SHANK)
        keep_allowed(b.settings.data_dir, given(THIGH, NEIGHBOURS))
        with pytest.raises(SensorNotFoundError, match=f"shank sensor {NEIGHBOURS} is not heard"):
            await b.kit.run_session("heel-slide", "left")
        with pytest.raises(SensorNotFoundError, match=f"shank sensor {NEIGHBOURS} is not heard"):
            await b.kit.record(tmp_path / "recording", asyncio.Event())


async def test_a_list_that_cannot_be_read_lets_no_sensor_in(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        keep_allowed(b.settings.data_dir, given())
        (IdentityFolder(b.settings.data_dir).path / SENSORS_NAME).write_text("{}")
        with pytest.raises(UsageError, match="name this kit's sensors again"):
            await b.kit.find_and_pair(thigh=THIGH, shank=SHANK)
        with pytest.raises(UsageError, match="name this kit's sensors again"):
            await b.kit.run_session("heel-slide", "left")


def test_a_kit_without_a_list_takes_what_is_paired(tmp_path: Path) -> None:
    assert read_allowed(tmp_path) is None


def test_sensors_in_each_others_place_do_not_fit() -> None:
    allowed = AllowedSensors(THIGH.upper(), SHANK.upper())
    right = [PairedSensor("thigh", THIGH.lower(), "a", "a"), PairedSensor("shank", SHANK, "b", "b")]
    wrong = [PairedSensor("thigh", SHANK, "b", "b"), PairedSensor("shank", THIGH, "a", "a")]
    assert allowed.fit({one.segment: one for one in right})
    assert not allowed.fit({one.segment: one for one in wrong})
    assert not allowed.fit({"thigh": right[0]})

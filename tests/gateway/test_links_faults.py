"""The faults of Bluetooth that were measured (docs/bluetooth.md), one test a row, in process."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from bleak import BleakClient
from bleak.exc import BleakError

from gonio.drivers.link_values import Patience
from gonio.gateway.links.hub import LinkHub, LinkOptions
from gonio.gateway.links.keeper import SensorKeeper
from gonio.gateway.links.pauses import LinkTiming
from gonio.gateway.links.service import AdapterPort, FixedBluetooth
from gonio.gateway.links.table import State
from gonio.simulators.bleak_adapter import NO_SERVICES, VirtualAdapter
from gonio.simulators.bleak_backend import backends
from gonio.simulators.crowd import Crowd, crowd
from gonio.simulators.peripheral import sensor_address
from gonio.simulators.radio import AirConditions

QUICK = LinkOptions(
    timing=LinkTiming(
        unheard_s=0.5,
        settle_s=0.2,
        slice_s=0.5,
        first_pause_s=0.02,
        longest_pause_s=0.1,
        refused_pause_s=0.2,
        suspect_s=0.3,
        first_data_s=3.0,
        silence_s=1.5,
        steady_s=0.3,
        full_pause_s=0.2,
        unavailable_s=0.1,
    ),
    patience=Patience(attempts=1, connect_s=2.0, operation_s=1.5, disconnect_s=1.0),
)
COUNTED, PLAIN = "gonio_ref", "nordic_thingy52"


@dataclass
class Rig:
    """Sensors that stream to keepers, and whoever takes their samples."""

    crowd: Crowd
    hub: LinkHub
    keepers: list[SensorKeeper] = field(default_factory=list)
    states: dict[str, list[State]] = field(default_factory=dict)

    @property
    def adapter(self) -> VirtualAdapter:
        return self.crowd.adapters[0]

    def note(self) -> None:
        for keeper in self.keepers:
            seen = self.states.setdefault(keeper.address, [])
            if not seen or seen[-1] is not keeper.state:
                seen.append(keeper.state)

    async def until(self, keeper: SensorKeeper, *states: State) -> None:
        """Wait until a sensor has been in one of these states since this was last asked, however shortly."""
        async with asyncio.timeout(30):
            while not any(state in states for state in self.states.get(keeper.address, [])):  # noqa: ASYNC110 - a list
                await asyncio.sleep(0.01)
        self.states[keeper.address] = [keeper.state]

    def forget(self) -> None:
        """Let ``until`` look only at what comes from now on."""
        self.states.clear()

    async def streams(self, *, samples: int = 30) -> None:
        """Wait until every sensor streams, and more samples have come of each."""
        async with asyncio.timeout(40):
            for keeper in self.keepers:
                await keeper.until(lambda keeper=keeper: keeper.streaming)  # type: ignore[misc]
            wanted = {k.address: len(self.crowd.tallies[k.address].came) + samples for k in self.keepers}
            while any(len(self.crowd.tallies[a].came) < n for a, n in wanted.items()):  # noqa: ASYNC110 - counts to look at
                await asyncio.sleep(0.01)
        self.forget()


@contextlib.asynccontextmanager
async def rig(
    *families: str,
    adapters: int = 1,
    options: LinkOptions = QUICK,
    before: Callable[[Crowd], None] = lambda _: None,
    bluetooth: Callable[[Crowd], FixedBluetooth] = lambda one: one.bluetooth,
    read: bool = True,
) -> AsyncIterator[Rig]:
    async with crowd(families, duration_s=300.0, speed=1.0, adapters=adapters) as one:
        before(one)
        one.bluetooth = bluetooth(one)
        stop = asyncio.Event()
        async with one.hub(options) as hub:
            made = Rig(one, hub)
            hub.on_change = made.note
            made.keepers = [one.keep(hub, address) for address in one.sensors]
            one.world.begin_motion()
            async with asyncio.TaskGroup() as tasks:
                listening = [tasks.create_task(one.listen(keeper, stop)) for keeper in made.keepers if read]
                yield made
                for task in listening:
                    task.cancel()
        for adapter in one.adapters:
            assert not adapter.central.connections  # nothing is left behind
            assert not +adapter.unclean
        for tally in one.tallies.values():
            assert tally.doubled == 0


async def test_a_connection_that_breaks_while_services_are_discovered_is_tried_again() -> None:
    address = sensor_address(COUNTED, 1)
    async with rig(COUNTED, before=lambda one: one.adapters[0].fail_next(address, *[NO_SERVICES] * 3)) as one:
        await one.streams()
        assert one.adapter.attempts[address] == 4
        assert one.adapter.most_at_once == 1
        assert any("could not be connected" in sentence for sentence in one.crowd.sentences)


@pytest.mark.parametrize("family", [COUNTED, PLAIN])
async def test_a_link_that_was_lost_again_and_again_is_delivered_once(family: str) -> None:
    async with rig(family) as one:
        for _ in range(3):
            await one.streams()
            one.crowd.drop(one.keepers[0].address)
            await one.until(one.keepers[0], State.SEARCHING, State.CONNECTING)
        await one.streams()
        assert one.keepers[0].report().reconnects == 3
        assert not +one.adapter.unclean


async def test_without_the_goodbye_the_virtual_adapter_delivers_twice_as_bluez_does() -> None:
    async with crowd([PLAIN], duration_s=60.0) as one:
        (address,) = one.sensors
        _, client = backends(one.adapters[0])
        uuid = (
            one.profiles[address]
            .characteristic(one.profiles[address].stream(one.profiles[address].resolve({})).role)
            .uuid
        )
        for deliveries in (1, 2, 3):
            lost = asyncio.Event()
            raw = BleakClient(address, backend=client, disconnected_callback=lambda _, lost=lost: lost.set())  # type: ignore[misc]
            await raw.connect()
            heard: list[bytes] = []
            await raw.start_notify(uuid, lambda _, value, heard=heard: heard.append(bytes(value)))  # type: ignore[misc]
            one.world.begin_motion()
            async with asyncio.timeout(10):
                while len(heard) < 6 * deliveries:  # noqa: ASYNC110 - a list to look at
                    await asyncio.sleep(0.01)
            assert (
                heard[: 5 * deliveries]
                == [v for v in dict.fromkeys(heard) for _ in range(deliveries)][: 5 * deliveries]
            )
            one.drop(address)
            async with asyncio.timeout(5):
                await lost.wait()


async def test_a_notification_that_is_delivered_twice_counts_once_where_it_has_a_counter() -> None:
    def leave_one_subscribed(one: Crowd) -> None:
        one.adapters[0].unclean[sensor_address(COUNTED, 1)] = 1

    async with rig(COUNTED, before=leave_one_subscribed) as one:
        await one.streams()
        link = one.keepers[0].link
        assert link is not None
        assert link.counters.repeated >= link.counters.notifications - 1 > 3
        one.adapter.unclean.clear()


async def test_a_service_that_dies_without_a_word_is_noticed_by_the_silence() -> None:
    async with rig(COUNTED, PLAIN) as one:
        await one.streams()
        one.adapter.kill_service()
        links = [keeper.link for keeper in one.keepers]
        assert [link is not None and link.lost is None for link in links] == [True, True]  # nobody tells
        for keeper in one.keepers:
            await one.until(keeper, State.UNAVAILABLE)
            assert "systemctl status bluetooth" in (keeper.advice or "")
        one.adapter.start_service()
        await one.streams()
        assert any("cannot be used" in sentence for sentence in one.crowd.sentences)
        assert one.crowd.sentences.count("the kit's Bluetooth is back") == 1


class Holding(FixedBluetooth):
    """A Bluetooth whose radio keeps the links of a service that died, until it is told to let go."""

    def __init__(self, one: Crowd) -> None:
        super().__init__(one.bluetooth.adapters())
        self.adapter = one.adapters[0]

    async def release(self, address: str, *, firmly: bool = False) -> bool:
        return self.adapter.release(address) if firmly else False


async def test_a_connection_that_the_system_still_holds_is_ended() -> None:
    async with rig(PLAIN, bluetooth=Holding) as one:
        await one.streams()
        one.adapter.kill_service(holding=True)  # the sensor stays connected to nobody and does not advertise
        one.adapter.start_service()
        await one.streams()
        assert any("program that is gone" in sentence for sentence in one.crowd.sentences)


async def test_connections_are_made_one_at_a_time_and_not_while_the_adapter_scans() -> None:
    def fussy(one: Crowd) -> None:
        one.adapters[0].connects_while_scanning = False

    async with rig(*[COUNTED, PLAIN] * 3, before=fussy) as one:
        await one.streams(samples=5)
        assert one.adapter.most_at_once == 1
        assert set(one.adapter.attempts.values()) == {1}
        assert len(one.adapter.attempts) == 6


async def test_two_attempts_at_once_fail_both_as_in_bluez() -> None:
    async with crowd([PLAIN], duration_s=10.0) as one:
        (address,) = one.sensors
        _, client = backends(one.adapters[0])
        two = [BleakClient(address, backend=client) for _ in range(2)]
        outcomes = await asyncio.gather(*(one.connect() for one in two), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [BleakError, BleakError]
        assert one.adapters[0].most_at_once == 2


@pytest.mark.parametrize("state", [State.CONNECTING, State.PREPARING, State.STARTING])
async def test_a_link_lost_in_the_middle_of_an_operation_is_made_anew(state: State) -> None:
    async with rig(COUNTED, before=lambda one: one.radio.set_conditions(*slow(one))) as one:
        await one.until(one.keepers[0], state)
        await asyncio.sleep(0.02)
        one.crowd.drop(one.keepers[0].address)
        await one.streams()
        assert one.adapter.attempts[one.keepers[0].address] >= 1


def slow(one: Crowd) -> tuple[str, AirConditions]:
    return next(iter(one.sensors)), AirConditions(delay_s=0.003)


async def test_a_sensor_that_never_answers_keeps_none_of_the_others_waiting_for_long() -> None:
    async with rig(COUNTED, PLAIN, before=lambda one: one.radio.stall(sensor_address(COUNTED, 1), 3.5)) as one:
        dumb, other = one.keepers
        await one.until(other, State.STREAMING)
        assert not dumb.connected
        await one.streams()


async def test_an_adapter_that_is_switched_off_and_on_brings_all_back() -> None:
    async with rig(COUNTED, PLAIN) as one:
        await one.streams()
        one.adapter.switch(on=False)
        for keeper in one.keepers:
            await one.until(keeper, State.UNAVAILABLE)
        one.adapter.switch(on=True)
        await one.streams()
        assert [keeper.report().reconnects for keeper in one.keepers] == [1, 1]
        assert one.crowd.sentences.count("the kit's Bluetooth is back") == 1


async def test_an_adapter_that_is_pulled_out_takes_its_links_with_it_though_nobody_tells() -> None:
    async with rig(COUNTED) as one:
        await one.streams()
        ports = one.crowd.bluetooth.adapters()
        one.crowd.bluetooth.change(())
        await one.until(one.keepers[0], State.UNAVAILABLE)
        assert one.keepers[0].link is None
        assert not one.hub.adapters
        one.crowd.bluetooth.change(ports)
        await one.streams()
        assert one.keepers[0].report().reconnects == 1


async def test_a_sensor_roams_to_the_adapter_that_is_left() -> None:
    async with rig(COUNTED, PLAIN, adapters=2) as one:
        await one.streams()
        used = one.keepers[0].adapter_name
        left = [port for port in one.crowd.bluetooth.adapters() if port.name != used]
        one.crowd.bluetooth.change(left)
        await one.until(one.keepers[0], State.SEARCHING, State.CONNECTING)
        await one.streams()
        assert {keeper.adapter_name for keeper in one.keepers} == {left[0].name}


async def test_sensors_share_the_adapters_and_none_carries_more_than_it_can() -> None:
    options = LinkOptions(timing=QUICK.timing, patience=QUICK.patience, slots=2)
    async with rig(*[COUNTED, PLAIN] * 2, adapters=2, options=options) as one:
        await one.streams(samples=5)
        assert [len(adapter.held) for adapter in one.hub.adapters] == [2, 2]


async def test_a_sensor_without_a_place_waits_says_so_and_gets_the_first_that_is_free() -> None:
    options = LinkOptions(timing=QUICK.timing, patience=QUICK.patience, slots=1)
    async with rig(COUNTED, PLAIN, options=options) as one:
        async with asyncio.timeout(15):
            while not any(k.state is State.WAITING for k in one.keepers):  # noqa: ASYNC110 - states to look at
                await asyncio.sleep(0.01)
        waiting = next(k for k in one.keepers if k.state is State.WAITING)
        assert "another Bluetooth adapter" in (waiting.advice or "")
        next(k for k in one.keepers if k is not waiting).release()
        await one.until(waiting, State.STREAMING)


async def test_a_controller_that_refuses_one_more_is_not_asked_without_pause() -> None:
    def small(one: Crowd) -> None:
        one.adapters[0].slots = 1

    async with rig(COUNTED, PLAIN, before=small) as one:
        async with asyncio.timeout(15):
            while max(keeper.failures for keeper in one.keepers) < 4:  # noqa: ASYNC110 - counts to look at
                await asyncio.sleep(0.01)
        refused = max(one.keepers, key=lambda keeper: keeper.failures)
        assert [len(adapter.held) for adapter in one.hub.adapters] <= [2]
        one.adapter.slots = None
        await one.until(refused, State.STREAMING)


async def test_a_sensor_that_a_phone_took_is_told_of_with_what_to_do() -> None:
    async with rig(COUNTED) as one:
        await one.streams()
        keeper = one.keepers[0]
        one.crowd.radio.set_conditions(keeper.address, AirConditions(heard=False))
        one.crowd.drop(keeper.address)
        await one.until(keeper, State.MISSING)
        assert "another phone" in (keeper.advice or "")
        assert any("is not heard" in sentence and "close the" in sentence for sentence in one.crowd.sentences)
        one.crowd.radio.set_conditions(keeper.address, AirConditions())
        await one.streams()


async def test_a_silence_that_ends_is_asked_about_and_costs_neither_link_nor_sample() -> None:
    async with rig(COUNTED) as one:
        await one.streams()
        one.crowd.radio.stall(one.keepers[0].address, 0.9)
        await one.until(one.keepers[0], State.SUSPECT)
        await one.streams()
        assert one.adapter.attempts[one.keepers[0].address] == 1
        came = sorted(one.crowd.tallies[one.keepers[0].address].came)
        assert came == list(range(came[0], came[-1] + 1))


@pytest.mark.parametrize("read", [True, False], ids=["somebody reads", "nobody reads"])
async def test_a_sensor_that_sends_nothing_over_a_link_that_stands_is_connected_anew(*, read: bool) -> None:
    async with rig(PLAIN, read=read) as one:
        (keeper,) = one.keepers
        keeper.go()
        async with asyncio.timeout(20):
            while keeper.link is None or keeper.link.last_arrival_s is None:  # noqa: ASYNC110 - a moment to look at
                await asyncio.sleep(0.01)
        one.forget()
        one.crowd.radio.set_conditions(keeper.address, AirConditions(payload_loss=1.0))
        await one.until(keeper, State.SUSPECT)
        await one.until(keeper, State.LOST)
        one.crowd.radio.set_conditions(keeper.address, AirConditions())
        await one.until(keeper, State.STREAMING)
        assert keeper.report().reconnects >= 1


class Switchable(FixedBluetooth):
    """A Bluetooth whose adapter can be switched off and on by the kit, which makes it hear again."""

    def __init__(self, one: Crowd) -> None:
        super().__init__(one.bluetooth.adapters())
        self.one = one
        self.times = 0

    async def revive(self, port: AdapterPort) -> bool:
        self.times += 1
        self.change(())
        await asyncio.sleep(0.05)
        for address in self.one.sensors:
            self.one.radio.set_conditions(address, AirConditions())
        self.change((port,))
        return True


async def test_an_adapter_that_hears_nobody_at_all_is_switched_off_and_on_once() -> None:
    def deaf(one: Crowd) -> None:
        for address in one.sensors:
            one.radio.set_conditions(address, AirConditions(heard=False))

    options = LinkOptions(timing=replace(QUICK.timing, deaf_s=0.8, revive_s=600.0), patience=QUICK.patience)
    async with rig(COUNTED, PLAIN, before=deaf, bluetooth=Switchable, options=options) as one:
        await one.streams()
        deaf(one.crowd)
        for keeper in one.keepers:
            one.crowd.drop(keeper.address)
        await one.until(one.keepers[0], State.MISSING)
        await asyncio.sleep(1.5)  # long enough for a second time, if there were one
        assert isinstance(one.crowd.bluetooth, Switchable)
        assert one.crowd.bluetooth.times == 1
        assert sum("switched off and on" in sentence for sentence in one.crowd.sentences) == 1


async def test_a_notification_makes_no_task() -> None:
    async with rig(PLAIN) as one:
        await one.streams()
        counts = set()
        for _ in range(20):
            counts.add(len(asyncio.all_tasks()))
            await asyncio.sleep(0.02)
        assert max(counts) - min(counts) <= 3  # bumble's own, for the moment of a packet


async def test_what_is_heard_of_a_stranger_is_nobodys() -> None:
    async with crowd([COUNTED, PLAIN], duration_s=10.0) as one, one.hub(QUICK) as hub:
        first, other = one.sensors
        keeper = one.keep(hub, first)
        async with asyncio.timeout(10):
            await keeper.until(lambda: keeper.connected)
        assert one.adapters[0].attempts == {first: 1}
        assert other not in {address for adapter in hub.adapters for address in adapter.held}


async def test_a_link_that_is_let_go_while_it_is_made_leaves_nothing_behind() -> None:
    for moment_s in (0.0, 0.05, 0.1, 0.15, 0.2):
        async with crowd([COUNTED], duration_s=10.0) as one:
            async with one.hub(QUICK) as hub:
                one.keep(hub, next(iter(one.sensors)))
                await asyncio.sleep(moment_s)
            assert not one.adapters[0].central.connections
            assert not +one.adapters[0].unclean


def test_every_test_that_the_table_of_faults_names_is_there() -> None:
    root = Path(__file__).parents[2]
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", (root / "docs" / "bluetooth.md").read_text()))
    written = "".join(path.read_text() for path in (root / "tests").rglob("test_*.py"))
    assert len(named) > 30
    assert {name for name in named if f"def {name}(" not in written} == set()

"""The life of a box: what may follow what, what follows for its kit, and that no sensor is in two boxes."""

import csv
import io
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.cloud_sink.enrolment.claims import ClaimRefusedError
from gonio.cloud_sink.schema import HOME_CLINIC
from gonio.cloud_sink.stock_csv import NewBox, plain, read_boxes, safe, write_csv
from gonio.cloud_sink.stock_states import MOVES, READY, BoxEvent, BoxState, check_move, check_ready
from gonio.cloud_sink.store import Store
from gonio.errors import UsageError
from gonio.identity.authority import Authority
from gonio.identity.certificates import make_request
from gonio.identity.keys import KeyPemFile
from gonio.messages import AllowSensors, Envelope, Wipe, read_down

KIT, OTHER = "kit-0123456789abcdef", "kit-fedcba9876543210"
THIGH, SHANK = "C0:FF:EE:00:00:01", "C0:FF:EE:00:00:02"
S = BoxState


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def claim(store: Store, authority: Authority, tmp_path: Path) -> Callable[[str, str], None]:
    """Let a kit claim with a code, with a key of its own."""

    def one(code: str, kit_id: str) -> None:
        file = tmp_path / f"{kit_id}.pem"
        key = KeyPemFile(file) if file.exists() else KeyPemFile.make(file)
        store.enrolment.claim(code, kit_id, make_request(key, kit_id), authority.issue_kit)

    return one


def states(store: Store, item_id: UUID) -> list[str]:
    return [line.what.value for line in store.stock.life(item_id)]


def sent(store: Store, kit_id: str) -> list[object]:
    return [read_down(row.envelope) for row in store.down.rows(kit_id)]


def patient(store: Store) -> UUID:
    return store.add_patient("A. Walker", "America/Chicago")


# --- the rules alone ---


@given(st.lists(st.sampled_from(BoxState), max_size=30))
def test_nothing_of_one_patient_reaches_the_next(wanted: list[BoxState]) -> None:
    """Whatever people try, between two patients a box was returned and cleaned; retired is for good."""
    state, seen = S.IN_STOCK, []
    for to in wanted:
        try:
            if to is S.ACTIVE:
                check_ready(state)
            else:
                check_move(state, to)
        except UsageError:
            continue
        state = to
        seen.append(to)
    for first, second in itertools.pairwise(seen):
        assert second is S.ACTIVE or second in MOVES[first]
    if S.RETIRED in seen:
        assert seen[-1] is S.RETIRED
    for at, one in enumerate(seen):
        if one is S.IN_STOCK:
            assert seen[at - 1] is S.CLEANED
            assert seen[at - 2] is S.RETURNED


def test_every_state_can_be_reached_and_every_refusal_says_what_to_do() -> None:
    reached = {S.IN_STOCK, S.ACTIVE} | {to for moves in MOVES.values() for to in moves}
    assert reached == set(S)
    for now in S:
        for to in S:
            if to not in MOVES[now]:
                with pytest.raises(UsageError, match=r"already|can become|for good|bound to a patient"):
                    check_move(now, to)
    for state in set(S) - READY:
        with pytest.raises(UsageError, match="gonio clinic stock move"):
            check_ready(state)


# --- with the book ---


def test_a_box_goes_out_and_comes_back_clean(store: Store, claim: Callable[[str, str], None], now: datetime) -> None:
    box = store.enrolment.add_box("box 1", "S-1")
    store.stock.name_sensors(box.item_id, THIGH.lower(), SHANK)
    store.stock.move(box.item_id, S.SHIPPED)
    claim(box.code, KIT)
    assert states(store, box.item_id)[-1] == "delivered"  # it was switched on
    who = patient(store)
    store.bind_kit(KIT, who, since=now)
    assert sent(store, KIT) == [AllowSensors(do="sensors", thigh=THIGH, shank=SHANK)]
    store.stock.name_sensors(box.item_id, THIGH, "C0:FF:EE:00:00:03", "the old one does not charge")
    found = store.stock.move(box.item_id, S.RETURNED)
    assert (found.bound, found.may_connect) == (False, True)
    assert isinstance(sent(store, KIT)[-1], Wipe)
    with pytest.raises(UsageError, match="has not said yet that it is wiped"):
        store.stock.move(box.item_id, S.CLEANED)
    with pytest.raises(UsageError, match="is not clean yet"):
        store.bind_kit(KIT, who, since=datetime.now(UTC))
    with pytest.raises(UsageError, match="say why"):
        store.stock.move(box.item_id, S.CLEANED, by_hand=True)
    store.stock.move(box.item_id, S.CLEANED, "card written anew", by_hand=True)
    store.stock.move(box.item_id, S.IN_STOCK)
    assert states(store, box.item_id) == [
        "entered", "sensors-named", "shipped", "delivered", "active", "sensor-swapped", "returned",
        "cleaned", "in-stock",
    ]  # fmt: skip
    life = store.stock.life(box.item_id)
    assert [line.patient_id for line in life if line.patient_id] == [who] * 3
    assert life[5].reason == "the old one does not charge"
    assert store.proof.log().intact


def test_a_kit_is_clean_when_it_says_so_itself(store: Store, envelope: Callable[..., Envelope], now: datetime) -> None:
    """Only a wipe since the last return counts: the receipt of an earlier one does not."""
    box = store.enrolment.add_box("box 1")
    store.add_kit("kit-001")
    with store._writer.begin() as connection:
        connection.exec_driver_sql("UPDATE stock SET kit_id = 'kit-001'")
    for turn in (1, 2):
        store.stock.move(box.item_id, S.DELIVERED)
        store.stock.move(box.item_id, S.RETURNED)
        with pytest.raises(UsageError, match="has not said yet"):
            store.stock.move(box.item_id, S.CLEANED)
        wipe = store.down.rows("kit-001")[-1].envelope
        payload = f'{{"of":"{wipe.record_id}","of_kind":"command","status":"applied"}}'
        store.ingest("kit-001", [envelope(turn, kind="receipt", payload=payload)], now)
        assert store.stock.move(box.item_id, S.CLEANED).state is S.CLEANED
        store.stock.move(box.item_id, S.IN_STOCK)


@pytest.mark.parametrize("wipe_first", [False, True])
def test_a_lost_kit_is_taken_from_its_patient_and_refused(
    store: Store, claim: Callable[[str, str], None], now: datetime, *, wipe_first: bool
) -> None:
    box = store.enrolment.add_box("box 1")
    claim(box.code, KIT)
    store.bind_kit(KIT, patient(store), since=now)
    with pytest.raises(UsageError, match="say why"):
        store.stock.move(box.item_id, S.LOST)
    found = store.stock.move(box.item_id, S.LOST, "left on the train", wipe_first=wipe_first)
    assert (found.bound, found.may_connect) == (False, wipe_first)
    assert store.enrolment.standing().kits == ((KIT,) if wipe_first else ())
    assert sent(store, KIT) == ([Wipe(do="wipe", at_once=True)] if wipe_first else [])
    with pytest.raises(UsageError, match="was reported lost"):
        store.bind_kit(KIT, patient(store), since=datetime.now(UTC))
    with pytest.raises(UsageError, match="this box is lost"):
        store.enrolment.new_code(box.item_id)
    store.stock.move(box.item_id, S.RETIRED, "never found")
    assert store.enrolment.standing().kits == ()


def test_a_box_gets_a_new_kit_once_the_old_one_counts_no_more(store: Store, claim: Callable[[str, str], None]) -> None:
    box = store.enrolment.add_box("box 1")
    claim(box.code, KIT)
    with pytest.raises(ClaimRefusedError, match="another kit"):
        claim(store.enrolment.new_code(box.item_id).code, OTHER)
    store.enrolment.revoke(KIT, "decommissioned")
    claim(store.enrolment.new_code(box.item_id).code, OTHER)
    assert [one.kit_id for one in store.stock.boxes()] == [OTHER]


def test_a_code_of_a_box_that_was_lost_meanwhile_counts_no_more(
    store: Store, claim: Callable[[str, str], None]
) -> None:
    box = store.enrolment.add_box("box 1")
    store.stock.move(box.item_id, S.SHIPPED)
    store.stock.move(box.item_id, S.LOST, "the parcel never came")
    with pytest.raises(ClaimRefusedError, match="entered this box as lost"):
        claim(box.code, KIT)


def test_taken_from_its_patient_a_box_is_still_out(
    store: Store, claim: Callable[[str, str], None], now: datetime
) -> None:
    box = store.enrolment.add_box("box 1")
    claim(box.code, KIT)
    store.bind_kit(KIT, patient(store), since=now)
    store.unbind_kit(KIT, at=now + timedelta(hours=1))
    assert [one.state for one in store.stock.boxes()] == [S.DELIVERED]


def test_a_sensor_is_in_one_box(store: Store) -> None:
    one, two = store.enrolment.add_box("one").item_id, store.enrolment.add_box("two").item_id
    store.stock.name_sensors(one, THIGH, SHANK)
    store.stock.name_sensors(one, SHANK, THIGH)  # exchanged within a box
    for pair in ((THIGH.lower(), "C0:FF:EE:00:00:09"), ("C0:FF:EE:00:00:09", THIGH.lower())):
        with pytest.raises(UsageError, match=rf"{THIGH} is in another box \(one\)"):
            store.stock.name_sensors(two, *pair)
    for pair in (("", ""), (THIGH, THIGH), ("not an address", SHANK), ("=1+1", SHANK)):
        with pytest.raises(UsageError, match="addresses of two sensors"):
            store.stock.name_sensors(two, *pair)
    store.stock.move(one, S.RETIRED, "broken")
    store.stock.name_sensors(two, THIGH, SHANK)


def test_of_two_at_once_one_moves_a_box_and_one_gets_a_sensor(store: Store) -> None:
    box, other = store.enrolment.add_box("one").item_id, store.enrolment.add_box("two").item_id
    gate = Barrier(2)

    def move(_: int) -> bool:
        gate.wait()
        try:
            store.stock.move(box, S.SHIPPED)
        except UsageError:
            return False
        return True

    def name(item: UUID) -> bool:
        gate.wait()
        try:
            store.stock.name_sensors(item, THIGH, SHANK)
        except UsageError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(move, range(2))) == [False, True]
        assert sorted(pool.map(name, (box, other))) == [False, True]
    assert states(store, box).count("shipped") == 1
    assert sum(found.thigh_sensor == THIGH for found in store.stock.boxes()) == 1


def test_a_box_of_another_clinic_is_not_there(store: Store) -> None:
    box, clinic = store.enrolment.add_box("one").item_id, uuid4()
    assert store.stock.box(box, clinic_id=clinic) is None
    assert store.stock.boxes(clinic_id=clinic) == []
    for call in (
        lambda: store.stock.move(box, S.SHIPPED, clinic_id=clinic),
        lambda: store.stock.name_sensors(box, THIGH, SHANK, clinic_id=clinic),
        lambda: store.stock.life(box, clinic_id=clinic),
    ):
        with pytest.raises(UsageError, match="no such box"):
            call()
    assert states(store, box) == ["entered"]


def test_boxes_are_entered_all_or_none(store: Store) -> None:
    good = [NewBox("a", "1", THIGH, SHANK), NewBox("b", "2", "", "")]
    for bad in (
        NewBox("c", "3", THIGH, "C0:FF:EE:00:00:09"),
        NewBox("c" * 201, "", "", ""),
    ):
        with pytest.raises(UsageError, match=r"box 3 \(c+\)"):
            store.stock.enter([*good, bad])
        assert store.stock.boxes() == []
    ids = store.stock.enter(good)
    assert [(box.item_id, box.label, box.thigh_sensor) for box in store.stock.boxes()] == [
        (ids[0], "a", THIGH),
        (ids[1], "b", None),
    ]
    assert {box.state for box in store.stock.boxes(state=S.IN_STOCK, clinic_id=HOME_CLINIC)} == {S.IN_STOCK}
    assert states(store, ids[0]) == [BoxEvent.ENTERED.value]


# --- as CSV ---

CELLS = st.text(st.sampled_from("=+-@'\t\r\n\",;a \uff1d")) | st.text()


@given(CELLS)
def test_no_cell_is_a_formula_and_each_comes_back(cell: str) -> None:
    assert not safe(cell).startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d"))
    assert plain(safe(cell)) == cell


PRINTABLE = st.text(st.characters(exclude_categories=("C", "Z"))).map(str.strip)


@given(st.lists(st.tuples(PRINTABLE.filter(bool), PRINTABLE)))
def test_what_was_exported_is_read_again(rows: list[tuple[str, str]]) -> None:
    text = write_csv(("label", "serial"), rows)
    assert [(box.label, box.serial) for box in read_boxes("\ufeff" + text)] == rows


@given(st.text() | st.text(st.sampled_from('label,serial\n\r"=a')).map("label\n{}".format))
def test_any_text_is_read_or_refused_with_what_to_do(text: str) -> None:
    told = ""
    try:
        read_boxes(text)
    except UsageError as error:
        told = str(error)
    assert told == "" or "line " in told


def test_a_table_names_its_line() -> None:
    with pytest.raises(UsageError, match="line 1: name the columns"):
        read_boxes("")
    with pytest.raises(UsageError, match="line 3: 3 cells under 2 columns"):
        read_boxes("label,serial\na,1\nb,2,3\n")
    with pytest.raises(UsageError, match="over 10000 boxes"):
        read_boxes("label\n" + "a\n" * 10_001)
    rows = list(csv.reader(io.StringIO(write_csv(("label",), [["=cmd|' /C calc'!A0"]]))))
    assert rows == [["label"], ["'=cmd|' /C calc'!A0"]]

"""``gonio gateway doctor`` finds what is wrong with a kit, says what to do, and ends 1 for it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gonio.cli.gateway import app
from gonio.drivers.link import FoundSensor
from gonio.drivers.link_errors import BluetoothUnavailableError
from gonio.gateway.clock import KitClock
from gonio.gateway.doctor import Finding, examine
from gonio.gateway.identity_folder import IdentityFolder
from gonio.gateway.keyfile import KeyFile
from gonio.gateway.reports import report_draft
from gonio.gateway.rotation import REFUSED_NAME
from gonio.gateway.settings import KitSettings
from gonio.gateway.store import KitStore
from gonio.gateway.wiping import WipeMark
from gonio.messages import Ack, AckStatus, CheckIn
from tests.gateway.clinic_service import Clinic, serving
from tests.gateway.test_kit_enrolment import run as enrol_kit


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    with serving(Clinic(tmp_path / "clinic")) as clinic:
        enrol_kit(tmp_path / "kit", clinic.ticket)
    return tmp_path / "kit"


def heard() -> list[FoundSensor]:
    return []


def looked(data_dir: Path, now: datetime | None = None, **settings: object) -> dict[str, Finding]:
    given = KitSettings.load(data_dir=data_dir, **settings)
    found = examine(given, now=now, listen=heard)
    assert all(one.to_do for one in found if one.state != "ok")
    return {one.subject: one for one in found}


def test_a_kit_that_is_well(data_dir: Path) -> None:
    found = looked(data_dir)
    for subject in ("data", "database key", "kit's key", "enrolment", "certificate", "records", "disk", "Bluetooth"):
        assert found[subject].state == "ok", found[subject]
    assert "0 wait for the clinic" in found["records"].says


def test_that_a_stolen_card_can_be_read_is_said(data_dir: Path) -> None:
    card = looked(data_dir)["stolen card"]
    assert card.state == "told"
    assert "a stolen card can be read" in card.says
    assert "TPM" in card.to_do


def test_a_key_on_another_medium_is_no_such_finding(tmp_path: Path) -> None:
    other = Path("/dev/shm")  # noqa: S108 - another file system than the test's folder
    if other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has one file system")
    key = other / f"{tmp_path.name}.key"
    try:
        with KitStore.open(tmp_path / "kit", KeyFile(key)):
            pass
        assert "stolen card" not in looked(tmp_path / "kit", key_file=key)
    finally:
        key.unlink(missing_ok=True)


@pytest.mark.parametrize("name", ["kit.key", "identity/kit-key.pem"])
def test_a_key_that_others_may_read(data_dir: Path, name: str) -> None:
    (data_dir / name).chmod(0o644)
    found = looked(data_dir)["database key" if name == "kit.key" else "kit's key"]
    assert (found.state, found.to_do) == ("wrong", f"chmod 600 {data_dir / name}")


def test_a_directory_that_others_may_look_into(data_dir: Path) -> None:
    data_dir.chmod(0o755)
    assert looked(data_dir)["data"].state == "wrong"


def test_a_kit_of_no_clinic(tmp_path: Path) -> None:
    with KitStore.open(tmp_path / "kit"):
        pass
    found = looked(tmp_path / "kit")["enrolment"]
    assert (found.state, found.says) == ("wrong", "no clinic has this kit")


@pytest.mark.parametrize(("before", "state"), [(15, "ok"), (13, "wrong"), (-1, "wrong")])
def test_a_certificate_near_its_end_is_told_fourteen_days_before(data_dir: Path, before: int, state: str) -> None:
    certificate = IdentityFolder(data_dir).certificate()
    assert certificate is not None
    assert looked(data_dir, now=certificate.not_after - timedelta(days=before))["certificate"].state == state


def test_a_renewal_that_the_clinic_refused(data_dir: Path) -> None:
    (IdentityFolder(data_dir).path / REFUSED_NAME).write_text("this key was revoked")
    assert "this key was revoked" in looked(data_dir)["certificate"].says


def test_a_clock_of_1970(data_dir: Path) -> None:
    clock = looked(data_dir, now=datetime(1970, 1, 1, tzinfo=UTC))["clock"]
    assert clock.state == "wrong"
    assert "1970-01-01" in clock.says


def test_a_broker_that_is_not_there(data_dir: Path) -> None:
    found = looked(data_dir, broker="mqtt://127.0.0.1:1")["broker"]
    assert found.state == "wrong"
    assert "nobody listens there" in found.says


def test_a_record_that_the_clinic_refused(data_dir: Path) -> None:
    with KitStore.open(data_dir) as store:
        kept = store.commit(report_draft(CheckIn(author="patient", pain_after=2), KitClock().capture()))
        store.settle([Ack(record_id=kept.record_id, status=AckStatus.REJECTED, reason="no")])
    assert looked(data_dir)["records"].state == "wrong"


def test_a_wipe_under_way(data_dir: Path) -> None:
    WipeMark(stage="erase").keep(data_dir)
    assert "erase" in looked(data_dir)["wipe"].says


def test_without_bluetooth(data_dir: Path) -> None:
    def none() -> list[FoundSensor]:
        raise BluetoothUnavailableError("no adapter")

    found = {one.subject: one for one in examine(KitSettings(data_dir=data_dir), listen=none)}
    assert (found["Bluetooth"].state, found["Bluetooth"].says) == ("wrong", "no adapter")


def test_the_command_ends_1_and_gives_json(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["doctor", "--json", "--data-dir", str(tmp_path / "none")])
    assert answer.exit_code == 1
    said = json.loads(answer.stdout.splitlines()[-1])
    assert said["ok"] is False
    assert [one["subject"] for one in said["findings"]] == ["data"]
    assert "enroll" in said["findings"][0]["to_do"]

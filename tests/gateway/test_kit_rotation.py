"""A kit's key and certificate are changed before they run out: with overlap, whole at every kill, told when refused."""

import asyncio
import shutil
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gonio.errors import PeerError, RetryableError
from gonio.gateway.clinic_server import ClaimRefusedError
from gonio.gateway.identity_folder import IdentityFolder
from gonio.gateway.rotation import CredentialKeeper, RotationTiming, credential_trouble, due
from gonio.gateway.settings import KitSettings
from gonio.gateway.store import KitStore
from gonio.gateway.way import Way
from gonio.identity.authority import Authority
from gonio.identity.certificates import Certificate, make_request
from gonio.identity.keys import KeyPemFile
from tests.gateway.clinic_service import Clinic, serving
from tests.gateway.killed import rotate, run_killed
from tests.gateway.test_kit_enrolment import run as enrol_kit


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    with serving(Clinic(tmp_path / "clinic")) as clinic:
        yield clinic


@pytest.fixture
def data_dir(clinic: Clinic, tmp_path: Path) -> Path:
    enrol_kit(tmp_path / "kit", clinic.ticket)
    return tmp_path / "kit"


def keeper(store: KitStore, now: datetime | None = None, timing: RotationTiming | None = None) -> CredentialKeeper:
    data_dir = store.path.parent
    settings = KitSettings(data_dir=data_dir)
    enrolment = IdentityFolder(data_dir).enrolment()
    assert enrolment is not None
    way = Way(settings.broker_address())
    clock = (lambda: now) if now else (lambda: datetime.now(UTC))
    return CredentialKeeper(store, enrolment, way, address=settings.broker_address, now=clock, timing=timing)


def certificate(data_dir: Path) -> Certificate:
    found = IdentityFolder(data_dir).certificate()
    assert found is not None
    return found


async def test_the_new_key_signs_and_connects_and_the_old_is_kept_until_it_has_worked(data_dir: Path) -> None:
    before = certificate(data_dir)
    folder = IdentityFolder(data_dir)
    with KitStore.open(data_dir) as store:
        one = keeper(store)
        await one.rotate()
        after = certificate(data_dir)
        assert after.public != before.public
        assert after.name == before.name == store.kit_id
        assert store.signing_key.public == after.public == KeyPemFile(folder.key_file).public
        assert one._way.changed.is_set()
        one._way.begin()  # certificate and key belong together, or this raises
        assert KeyPemFile(folder.old_key_file).public == before.public
        one._way.worked()
        assert not folder.overlaps
        assert not folder.old_key_file.exists()
        assert not folder.old_certificate_file.exists()
        assert not folder.new_key_file.exists()


async def test_what_the_old_connection_still_brings_says_nothing_of_the_new_key(data_dir: Path) -> None:
    with KitStore.open(data_dir) as store:
        one = keeper(store)
        one._way.begin()
        await one.rotate()
        one._way.worked()
        assert IdentityFolder(data_dir).overlaps


@pytest.mark.parametrize(("share", "renewed"), [(0.60, False), (0.70, True)])
def test_two_thirds_of_the_life_are_when_it_is_due(tmp_path: Path, share: float, *, renewed: bool) -> None:
    authority = Authority.make(tmp_path)
    one = authority.certificate
    at = one.not_before + (one.not_after - one.not_before) * share
    assert due(one, at) is renewed


async def test_an_expired_certificate_renews(clinic: Clinic, data_dir: Path) -> None:
    """A kit that lay in a cupboard for a year: nobody has to claim it again."""
    before = certificate(data_dir)
    clinic.ahead = timedelta(days=365)
    with KitStore.open(data_dir) as store:
        one = keeper(store, now=clinic.now())
        told = one.trouble
        assert told is not None
        assert "has expired" in told
        running = asyncio.create_task(one.run())
        async with asyncio.timeout(30):
            await one._way.changed.wait()
        assert certificate(data_dir) != before
        running.cancel()
        assert one.trouble is None
    assert certificate(data_dir).not_after > clinic.now()


async def test_a_kit_of_1970_knows_from_its_certificate_that_nothing_is_due(clinic: Clinic, data_dir: Path) -> None:
    clinic.asked.clear()
    with KitStore.open(data_dir) as store:
        one = keeper(store, now=datetime(1970, 1, 1, tzinfo=UTC))
        assert one.trouble is None
        running = asyncio.create_task(one.run())
        await asyncio.sleep(0.2)
        running.cancel()
    assert clinic.asked == []


async def test_a_refusal_is_told_and_nothing_changes(clinic: Clinic, data_dir: Path) -> None:
    before = certificate(data_dir)
    clinic.answers["/v1/renew"] = (403, b'{"error": "this key was revoked"}')
    with KitStore.open(data_dir) as store:
        one = keeper(store)
        with pytest.raises(ClaimRefusedError, match="revoked"):
            await one.rotate()
        told = one.trouble
        assert told is not None
        assert "this key was revoked" in told
        assert certificate(data_dir) == before
        assert store.signing_key.public == before.public
        del clinic.answers["/v1/renew"]
        await one.rotate()
        assert one.trouble is None


async def test_an_authority_that_signs_later_is_asked_again_for_the_same_key(clinic: Clinic, data_dir: Path) -> None:
    clinic.waits = 1
    with KitStore.open(data_dir) as store:
        one = keeper(store)
        with pytest.raises(RetryableError, match="still to sign"):
            await one.rotate()
        wanted = KeyPemFile(IdentityFolder(data_dir).new_key_file).public
        await one.rotate()
    assert certificate(data_dir).public == wanted


async def test_a_certificate_for_another_key_is_not_taken(clinic: Clinic, data_dir: Path) -> None:
    before = certificate(data_dir)
    with KitStore.open(data_dir) as store:
        other = make_request(KeyPemFile.make(data_dir / "other.pem"), store.kit_id).decode()
        clinic.answers["/v1/renew"] = clinic._issued(store.kit_id, other)
        with pytest.raises(PeerError, match="for another key"):
            await keeper(store).rotate()
    assert certificate(data_dir) == before


async def test_a_new_key_that_never_works_gives_way_to_the_old(clinic: Clinic, data_dir: Path) -> None:
    before = certificate(data_dir)
    with KitStore.open(data_dir) as store:
        one = keeper(store, timing=RotationTiming(overlap_look_s=0.02, tries=3))
        await one.rotate()
        after = certificate(data_dir)
        running = asyncio.create_task(one.run())
        await asyncio.sleep(0.2)
        assert certificate(data_dir) == after  # nothing was tried yet
        for _ in range(3):
            one._way.begin()
        async with asyncio.timeout(30):
            await one._way.changed.wait()
        assert certificate(data_dir) == before
        running.cancel()
        assert store.signing_key.public == before.public
        one._way.begin()


def test_killed_at_every_step_there_is_one_whole_key_with_its_certificate(data_dir: Path, tmp_path: Path) -> None:
    old = certificate(data_dir)
    ends = set()
    for at in range(1, 60):
        kit = tmp_path / f"kit-{at}"
        shutil.copytree(data_dir, kit)
        was_killed = run_killed(at, kit, "rotate")
        if was_killed:
            with KitStore.open(kit) as store:  # the next start goes on
                public = store.signing_key.public
            found = certificate(kit)
            assert found.public == public
            assert not IdentityFolder(kit).new_certificate_file.exists()
            assert isinstance(KitSettings(data_dir=kit).broker_address().tls_context(), ssl.SSLContext)
            ends.add(found == old)
            asyncio.run(rotate(kit))  # and again, not killed
        assert certificate(kit) != old
        shutil.rmtree(kit)
        if not was_killed:
            break
    else:
        pytest.fail("it never came to its end")
    assert ends == {True, False}  # it was killed before and after the point of no return


def test_killed_at_every_step_of_its_enrolment_a_kit_is_enrolled_by_the_next(clinic: Clinic, tmp_path: Path) -> None:
    made = tmp_path / "made"
    with KitStore.open(made) as store:
        kit_id = store.kit_id
    enrolled = set()
    for at in range(1, 60):
        kit = tmp_path / f"kit-{at}"
        shutil.copytree(made, kit)
        was_killed = run_killed(at, kit, "enrol", str(clinic.ticket))
        enrolled.add(IdentityFolder(kit).enrolment() is not None)
        assert enrol_kit(kit, clinic.ticket).kit_id == kit_id
        with KitStore.open(kit) as store:
            assert certificate(kit).public == store.signing_key.public
        shutil.rmtree(kit)
        if not was_killed:
            break
    else:
        pytest.fail("it never came to its end")
    assert enrolled == {True, False}


def test_expiry_is_told_fourteen_days_before(data_dir: Path) -> None:
    folder, end = IdentityFolder(data_dir), certificate(data_dir).not_after
    assert credential_trouble(folder, end - timedelta(days=15)) is None
    soon = credential_trouble(folder, end - timedelta(days=13))
    assert soon is not None
    assert f"expires on {end:%Y-%m-%d}" in soon

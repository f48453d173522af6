"""The enrolment service over real TLS, asked by a real kit and by people who should not."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import anyio.from_thread
import pytest
import urllib3
from starlette.applications import Starlette

from gonio.cloud_sink.clinic_folder import ClinicFolder
from gonio.cloud_sink.enrolment.app import IN_ALL, MAX_BODY, PER_ADDRESS, RateLimit, create_app
from gonio.cloud_sink.enrolment.claims import LIFE
from gonio.cloud_sink.enrolment.serve import clinic_of, enrolment_server, own_certificate
from gonio.cloud_sink.store import Store, open_store
from gonio.errors import UsageError
from gonio.gateway.clinic_server import ClaimRefusedError
from gonio.gateway.enrolment import enrol
from gonio.gateway.keyfile import KeyFile
from gonio.identity.authority import Authority
from gonio.identity.certificates import Certificate, make_request
from gonio.identity.claim import ClaimTicket
from gonio.identity.keys import KeyPemFile
from gonio.web.serving import listen, serving

BROKER = "mqtts://broker.example:8883"
KIT = "kit-0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> ClinicFolder:
    folder = ClinicFolder(tmp_path / "clinic")
    Authority.make(folder.authority_folder)
    return folder


@contextmanager
def served(store: Store, folder: ClinicFolder) -> Iterator[str]:
    with anyio.from_thread.start_blocking_portal() as portal:
        server = enrolment_server(store, folder, BROKER, host="127.0.0.1", port=0, names=["localhost"])
        with portal.wrap_async_context_manager(server) as address:
            yield address


def become_a_kit(data_dir: Path, ticket: ClaimTicket) -> str:
    lines: list[str] = []
    return enrol(data_dir, KeyFile(data_dir / "kit.key"), ticket, say=lines.append).kit_id


def test_a_kit_enrols_and_only_one_kit_does(store: Store, folder: ClinicFolder, tmp_path: Path) -> None:
    box = store.enrolment.add_box("box 1")
    with served(store, folder) as address:
        ticket = ClaimTicket(box.code, address, folder.authority().fingerprint)
        kit_id = become_a_kit(tmp_path / "kit", ticket)
        assert become_a_kit(tmp_path / "kit", ticket) == kit_id
        with pytest.raises(ClaimRefusedError, match="used by another kit"):
            become_a_kit(tmp_path / "other", ticket)
    (key,) = store.enrolment.keys(kit_id)
    assert key.certificate is not None
    kept = Certificate.read((tmp_path / "kit/identity/kit.crt").read_bytes())
    assert kept == Certificate.read(key.certificate)
    assert kept.name == kit_id


def test_a_clinic_with_another_fingerprint_gets_no_code(store: Store, folder: ClinicFolder, tmp_path: Path) -> None:
    box = store.enrolment.add_box()
    with served(store, folder) as address:
        with pytest.raises(ClaimRefusedError, match="another fingerprint"):
            become_a_kit(tmp_path / "kit", ClaimTicket(box.code, address, "0" * 32))
        good = ClaimTicket(box.code, address, folder.authority().fingerprint)
        assert become_a_kit(tmp_path / "kit", good)  # the code was not used up


def test_nothing_but_tls_1_2_or_newer_is_spoken(store: Store, folder: ClinicFolder) -> None:
    with served(store, folder) as address:
        host, port = address.removeprefix("https://").split(":")
        old = ssl.create_default_context(cafile=str(folder.authority_file))
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, OSError)):
            HTTPSConnection(host, int(port), context=old, timeout=10).request("GET", "/v1/time")
        new = ssl.create_default_context(cafile=str(folder.authority_file))
        connection = HTTPSConnection(host, int(port), context=new, timeout=10)
        connection.request("GET", "/v1/time")
        assert connection.getresponse().status == 200
        connection.close()


# --- without a network, the application itself ---


class Client:
    """Asks an application that runs on loopback."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._pool = urllib3.PoolManager(retries=False, timeout=10)

    def ask(self, method: str, path: str, **given: Any) -> urllib3.BaseHTTPResponse:  # noqa: ANN401 - urllib3's
        return self._pool.urlopen(method, self._address + path, redirect=False, **given)

    def post(self, path: str, content: bytes) -> urllib3.BaseHTTPResponse:
        return self.ask("POST", path, body=content)

    def claim(self, asked: dict[str, Any]) -> urllib3.BaseHTTPResponse:
        return self.post("/v1/claim", json.dumps(asked).encode())

    def close(self) -> None:
        self._pool.clear()


@contextmanager
def running(app: Starlette) -> Iterator[Client]:
    with anyio.from_thread.start_blocking_portal() as portal:
        sock = listen("127.0.0.1", 0)
        with portal.wrap_async_context_manager(serving(app, sock)):
            client = Client(f"http://127.0.0.1:{sock.getsockname()[1]}")
            try:
                yield client
            finally:
                client.close()


@pytest.fixture
def client(store: Store, folder: ClinicFolder) -> Iterator[Client]:
    with running(create_app(store.enrolment, clinic_of(folder, BROKER))) as client:
        yield client


@pytest.fixture
def request_pem(tmp_path: Path) -> str:
    return make_request(KeyPemFile.make(tmp_path / "key.pem"), KIT).decode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"code": 1}',
        b'{"code": "x", "kit_id": "../../etc", "request": "x"}',
        json.dumps({"code": "0" * 16, "kit_id": KIT, "request": "x", "clinic_id": "mine"}).encode(),
        json.dumps({"code": "0" * 16, "kit_id": KIT, "request": "x"}).encode(),
        json.dumps({"code": "?" * 16, "kit_id": KIT, "request": "x"}).encode(),
        b'{"code":' * 1000,
    ],
)
@pytest.mark.parametrize("path", ["/v1/claim", "/v1/renew"])
def test_what_cannot_be_read_is_refused_in_a_sentence(client: Client, path: str, body: bytes) -> None:
    answer = client.post(path, body)
    assert answer.status in {400, 403}
    assert answer.json()["error"]
    assert answer.headers["cache-control"] == "no-store"


def test_a_body_that_is_too_large_is_refused(client: Client) -> None:
    assert client.post("/v1/claim", b"x" * MAX_BODY).status == 400
    assert client.post("/v1/claim", b"x" * (MAX_BODY + 1)).status == 413
    assert client.ask("POST", "/v1/claim", body=iter([b"x" * MAX_BODY] * 3), chunked=True).status == 413


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/v1", "/v1/authority/", "/patients"])
def test_there_is_nothing_else(client: Client, path: str) -> None:
    answer = client.ask("GET", path)
    assert answer.status == 404
    assert "error" in answer.json()


def test_codes_cannot_be_tried_one_after_another(store: Store, folder: ClinicFolder, request_pem: str) -> None:
    box, now = store.enrolment.add_box(), [0.0]
    limit = RateLimit(clock=lambda: now[0])
    with running(create_app(store.enrolment, clinic_of(folder, BROKER), limit=limit)) as client:

        def ask(code: str) -> int:
            return client.claim({"code": code, "kit_id": KIT, "request": request_pem}).status

        tried = [ask(f"{n:016}") for n in range(PER_ADDRESS + 5)]
        assert tried == [403] * PER_ADDRESS + [429] * 5
        assert ask(box.code) == 429
        now[0] = 61.0
        assert ask(box.code) == 200


def test_one_address_does_not_use_up_what_others_have_and_memory_is_bounded() -> None:
    limit = RateLimit(clock=lambda: 0.0)
    assert [limit.allows("a") for _ in range(1000)].count(True) == PER_ADDRESS
    assert [limit.allows(f"host {n}") for n in range(30_000)].count(True) == IN_ALL - PER_ADDRESS
    assert len(limit._by_address) <= 10_000


def test_a_kit_waits_while_an_authority_outside_signs(store: Store, folder: ClinicFolder, request_pem: str) -> None:
    key = (folder.authority_folder / "authority.key").rename(folder.path / "elsewhere.key")
    asked: dict[str, Any] = {"code": store.enrolment.add_box().code, "kit_id": KIT, "request": request_pem}
    with running(create_app(store.enrolment, clinic_of(folder, BROKER))) as client:
        first = client.claim(asked)
        assert (first.status, first.json()["state"]) == (202, "waiting")
        key.rename(folder.authority_folder / "authority.key")
        certificate = folder.authority().issue_kit(request_pem.encode(), KIT)
        store.enrolment.put_certificate(certificate, folder.authority_certificate())
        assert client.claim(asked).json()["certificate"] == certificate.pem


def test_two_servers_on_one_book_give_a_code_to_one_kit(store_url: str, folder: ClinicFolder, tmp_path: Path) -> None:
    with open_store(store_url) as one, open_store(store_url) as two:
        box = one.enrolment.add_box()
        with served(one, folder) as first, served(two, folder) as second:
            outcomes: list[object] = []

            def attempt(name: str, address: str) -> None:
                ticket = ClaimTicket(box.code, address, folder.authority().fingerprint)
                try:
                    outcomes.append(become_a_kit(tmp_path / name, ticket))
                except ClaimRefusedError as error:
                    outcomes.append(error)

            threads = [threading.Thread(target=attempt, args=pair) for pair in (("a", first), ("b", second))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sum(isinstance(one, str) for one in outcomes) == 1
        assert len(outcomes) == 2


def test_a_server_certificate_is_renewed_before_it_ends(folder: ClinicFolder) -> None:
    files = own_certificate(folder, "enrolment", ["localhost"])
    first = Certificate.read(files.certificate.read_bytes())
    assert own_certificate(folder, "enrolment", ["localhost"]) == files
    assert Certificate.read(files.certificate.read_bytes()) == first
    long_ago = datetime.now(UTC) - timedelta(days=350)
    folder.authority().issue_program("enrolment", "server", (files.certificate, files.key), now=long_ago)
    own_certificate(folder, "enrolment", ["localhost"])
    renewed = Certificate.read(files.certificate.read_bytes())
    assert renewed.not_after > datetime.now(UTC) + timedelta(days=390)
    assert renewed.public == first.public


def test_what_is_missing_is_said_before_anything_is_served(folder: ClinicFolder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="over TLS"):
        clinic_of(folder, "mqtt://127.0.0.1:1883")
    with pytest.raises(UsageError, match="authority make"):
        clinic_of(ClinicFolder(tmp_path / "empty"), BROKER)
    (folder.authority_folder / "authority.key").unlink()
    with pytest.raises(UsageError, match="have your authority issue"):
        own_certificate(folder, "enrolment", ["localhost"])
    assert timedelta(days=14) > LIFE


def test_the_folders_keys_are_made_once_and_kept(folder: ClinicFolder) -> None:
    first = folder.records_key(make=True)
    again = folder.records_key(make=True)
    assert first is not None
    assert again is not None
    assert first.key_id == again.key_id
    pages: list[bytes] = []
    makers: list[Callable[[], None]] = [lambda: pages.append(ClinicFolder(folder.path).pages_key())] * 8
    threads = [threading.Thread(target=make) for make in makers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pages)) == 1
    assert len(pages) == 8
    assert (folder.path / "pages.key").stat().st_mode & 0o077 == 0

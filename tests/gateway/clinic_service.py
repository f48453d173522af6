"""An enrolment service of the test's own: HTTPS that speaks as the clinic's does, with faults that can be asked for."""

import base64
import hashlib
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from gonio.gateway.enrolment import RENEWAL
from gonio.identity.authority import KIT_LIFE, Authority
from gonio.identity.certificates import Certificate, CertificateError
from gonio.identity.claim import ClaimTicket, new_code
from gonio.identity.keys import KeyPemFile, PublicKey
from gonio.messages import wire_time


class Clinic:
    """A clinic with an authority, a key for its records and one claim code.

    Attributes:
        waits: how many more answers say that the authority has still to sign.
        life: of the certificates that it gives.
        answers: replaces the answer to a path, where it is set: status and body.
        asked: the paths that were asked for, in order.
    """

    def __init__(self, folder: Path, broker: str = "mqtts://localhost:8883") -> None:
        self.authority = Authority.make(folder / "authority")
        self.records = KeyPemFile.make(folder / "records.key")
        self.files = (folder / "server.crt", folder / "server.key")
        self.authority.issue_program("enrolment", "server", self.files, names=["localhost", "127.0.0.1"])
        self.broker = broker
        self.code = new_code()
        self.url = ""
        self.waits = 0
        self.life = KIT_LIFE
        self.ahead = timedelta(0)
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        self._claimed: dict[str, str] = {}

    @property
    def ticket(self) -> ClaimTicket:
        return ClaimTicket(self.code, self.url, self.authority.fingerprint)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def answer(self, path: str, fields: dict[str, str]) -> tuple[int, bytes]:
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        if path == "/v1/authority":
            return 200, self.authority.certificate.pem.encode()
        if path == "/v1/time":
            return 200, json.dumps({"now": wire_time(self.now())}).encode()
        try:
            return self._claim(fields) if path == "/v1/claim" else self._renew(fields)
        except (CertificateError, KeyError) as error:
            return 400, json.dumps({"error": str(error)}).encode()

    def _claim(self, fields: dict[str, str]) -> tuple[int, bytes]:
        if fields["code"] != self.code:
            return 403, b'{"error": "this code is not known, or used, or too old"}'
        before = self._claimed.setdefault(fields["code"], fields["request"])
        if self._key(before, fields["kit_id"]) != self._key(fields["request"], fields["kit_id"]):
            return 403, b'{"error": "this code was used by another kit"}'
        return self._issued(fields["kit_id"], fields["request"])

    def _renew(self, fields: dict[str, str]) -> tuple[int, bytes]:
        request = fields["request"].encode()
        proven = RENEWAL + f"{fields['kit_id']}\n{fields['at']}\n{hashlib.sha256(request).hexdigest()}".encode()
        key = PublicKey(Certificate.read(fields["certificate"]).public)
        if not key.verifies(base64.b64decode(fields["proof"]), proven):
            return 403, b'{"error": "the renewal is not signed by the present key"}'
        return self._issued(fields["kit_id"], fields["request"])

    def _key(self, request: str, kit_id: str) -> bytes:
        return self.authority.issue_kit(request.encode(), kit_id).public

    def _issued(self, kit_id: str, request: str) -> tuple[int, bytes]:
        if self.waits:
            self.waits -= 1
            return 202, b'{"state": "waiting", "poll_s": 1}'
        certificate = self.authority.issue_kit(request.encode(), kit_id, now=self.now(), life=self.life)
        fields = {
            "state": "issued",
            "certificate": certificate.pem,
            "authority": self.authority.certificate.pem,
            "broker": self.broker,
            "clinic_key": base64.b64encode(self.records.public).decode(),
            "kit_id": kit_id,
        }
        return 200, json.dumps(fields).encode()


@contextmanager
def serving(clinic: Clinic) -> Iterator[Clinic]:
    """Serve on a loopback port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            fields: dict[str, Any] = json.loads(self.rfile.read(length)) if length else {}
            status, body = clinic.answer(self.path, fields)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _do  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*clinic.files)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    clinic.url = f"https://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield clinic
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

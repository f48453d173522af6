"""The demo's own broker, in process, on loopback: as closed as a clinic's, and for one kit and one sink only.

TLS with certificates on both sides; the name in the client's certificate is its user, and decides its topics as the
access list of a clinic's broker does (``cloud_sink.broker_warden``). It keeps nothing on disk and may lose what it
acknowledged. That is safe: correctness never rests on the broker.
"""

import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from amqtt.broker import Broker
from amqtt.contexts import Action, ListenerConfig
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session
from cryptography import x509

from gonio.cloud_sink.broker_warden import SINK_NAME
from gonio.cloud_sink.clinic_folder import ClinicFolder
from gonio.identity.certificates import CertificateError, common_name
from gonio.messages.topics import TOPIC_ROOT

_LEVELS = 5  # of a topic of ours: gonio, version, kit, direction, kind


class CertificateName(BaseAuthPlugin):  # type: ignore[misc]  # amqtt ships no types
    """Who comes in: whoever shows a certificate of the clinic, as the name in it."""

    @dataclass
    class Config:
        """There is nothing to set."""

    async def authenticate(self, *, session: Session) -> bool:
        """Take the name from the certificate, which TLS has verified; what the client calls itself counts nothing."""
        session.username = _common_name(session.ssl_object)
        return session.username is not None


class OwnTopics(BaseTopicPlugin):  # type: ignore[misc]  # amqtt ships no types
    """What one may: a kit writes its ``up`` and reads its ``down`` topics, the sink the other way round for all."""

    @dataclass
    class Config:
        """There is nothing to set."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        """Tell whether a topic, or a filter that is subscribed to, is one's own."""
        name = None if session is None else session.username
        return name is not None and topic is not None and _may(name, topic, writes=action is Action.PUBLISH)


def _may(name: str, topic: str, *, writes: bool) -> bool:
    parts = topic.split("/")
    if len(parts) != _LEVELS or "/".join(parts[:2]) != TOPIC_ROOT or "#" in parts or "$" in topic:
        return False
    kit, direction = parts[2], parts[3]
    if name == SINK_NAME:
        return direction == ("down" if writes else "up")
    return kit == name and direction == ("up" if writes else "down")


def _common_name(connection: ssl.SSLObject | None) -> str | None:
    shown = None if connection is None else connection.getpeercert(binary_form=True)
    if shown is None:
        return None
    with suppress(CertificateError, ValueError):
        return common_name(x509.load_der_x509_certificate(shown).subject)
    return None


class _ClosedBroker(Broker):  # type: ignore[misc]  # amqtt ships no types
    """amqtt's broker, which asks for a client's certificate and goes on without: this one does not."""

    @staticmethod
    def _create_ssl_context(listener: ListenerConfig) -> ssl.SSLContext:
        context: ssl.SSLContext = Broker._create_ssl_context(listener)  # noqa: SLF001 - amqtt has no other place for it
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def free_port(preferred: int = 0) -> int:
    """Give a loopback port that nobody uses at this moment, the preferred one where it is free."""
    with suppress(OSError), socket.create_server(("127.0.0.1", preferred)) as probe:
        port: int = probe.getsockname()[1]
        return port
    return free_port()


@asynccontextmanager
async def embedded_broker(folder: ClinicFolder, *, port: int = 0) -> AsyncIterator[str]:
    """Run an MQTT 3.1.1 broker on loopback with a certificate of the clinic's authority; yields its URL.

    Args:
        folder: the clinic's, with its authority; the broker's certificate is made there.
        port: where to listen if that port is free.
    """
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.ERROR)
    files = folder.program("broker")
    names = ["localhost", "127.0.0.1"]
    folder.authority().issue_program("broker", "server", (files.certificate, files.key), names=names)
    port = free_port(port)
    listener = {"type": "tcp", "bind": f"127.0.0.1:{port}", "ssl": True, "cafile": str(folder.authority_file)}
    broker = _ClosedBroker(
        {
            "listeners": {"default": listener | {"certfile": str(files.certificate), "keyfile": str(files.key)}},
            "plugins": {f"{__name__}.{CertificateName.__name__}": {}, f"{__name__}.{OwnTopics.__name__}": {}},
        }
    )
    await broker.start()
    try:
        yield f"mqtts://localhost:{port}"
    finally:
        await broker.shutdown()

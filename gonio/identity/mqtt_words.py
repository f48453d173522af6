"""What a broker's refusals and a broken connection mean, in words, with what to do."""

import socket
import ssl
from collections.abc import Iterator
from typing import Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

#: From here on a reason code is a refusal (MQTT 5 section 2.4; SUBACK of MQTT 3.1.1 likewise, section 3.9.3).
REFUSALS: Final = 0x80
#: PUBACK of a broker that has nobody to pass a publish on to (MQTT 5 section 3.4.2.1).
NOBODY_LISTENS: Final = 0x10

_NOT_AUTHORISED: Final = "not authorised"

#: Reason codes of MQTT 5 section 2.4; paho gives those of an MQTT 3.1.1 CONNACK as these too.
_CODES: Final = {
    0x81: "it could not read what was sent: is there a proxy on the way that changes it?",
    0x82: "it saw a fault of the protocol: is there a proxy on the way that changes it?",
    0x84: "it does not speak this version of MQTT: set the other one, 3.1.1 or 5",
    0x85: "it does not accept this name: let its configuration accept it as a client id",
    0x86: "user name or password is wrong: set those that the broker knows",
    0x87: f"{_NOT_AUTHORISED}: the broker must know this user, and its access list must allow it",
    0x88: "it is not available just now",
    0x89: "it is busy",
    0x8A: "it has banned this client: ask whoever runs the broker",
    0x8B: "it is shutting down",
    0x8D: "it heard nothing for too long: the network was away",
    0x8E: "another client has connected under the same name: two machines have one identity, stop one of them",
    0x8F: "it refuses the topic's pattern",
    0x90: "it refuses the topic's name",
    0x93: "more was sent at once than it takes",
    0x95: "the packet is larger than it takes: raise its packet size limit",
    0x96: "messages come faster than it takes",
    0x97: "a quota of the broker is used up: ask whoever runs it",
    0x98: "its administrator has closed the connection",
    0x9C: "it says to use another server: set that one's address",
    0x9D: "it has moved to another server: set that one's address",
    0x9F: "connections come faster than it takes",
    0xA1: "it offers no shared subscriptions",
}

#: OpenSSL's verify codes, <openssl/x509_vfy.h>.
_CERTIFICATE: Final = {
    9: "its certificate is not valid yet: check this machine's clock",
    10: "its certificate has expired: renew it on the broker, or check this machine's clock",
    18: "its certificate is signed by itself: name it as the CA file if it is the right broker",
    19: "its certificate is of an authority that is not trusted here: name that authority's CA file",
    20: "its certificate is of an authority that is not trusted here: name that authority's CA file",
    21: "its certificate is of an authority that is not trusted here: name that authority's CA file",
    23: "its certificate was revoked",
    62: "its certificate is for another name: is the address right, or somebody else's proxy in between?",
    64: "its certificate is for another address: is the address right, or somebody else's proxy in between?",
}

#: Parts of OpenSSL's reasons.
_TLS: Final = (
    ("WRONG_VERSION_NUMBER", "nothing there speaks TLS: is this the broker's TLS port?"),
    ("CERTIFICATE_REQUIRED", "it asks for a certificate of this machine, and none is set"),
    ("ALERT_UNKNOWN_CA", "it does not trust the authority of this machine's certificate"),
    ("CERTIFICATE_EXPIRED", "it says that this machine's certificate has expired"),
    ("ALERT_BAD_CERTIFICATE", "it does not accept this machine's certificate"),
    ("HANDSHAKE_FAILURE", "it and this machine have no kind of TLS in common"),
)


def code_words(code: ReasonCode | int) -> str:
    """Say what a reason code means and what to do."""
    value = code if isinstance(code, int) else code.value
    known = _CODES.get(value)
    if known is not None:
        return known
    return f"code {value}" if isinstance(code, int) else str(code).lower()


def is_refusal(code: ReasonCode | int) -> bool:
    """Tell whether a reason code is a refusal."""
    return (code if isinstance(code, int) else code.value) >= REFUSALS


def in_words(error: BaseException) -> str:
    """Say why a connection did not come about or broke, and what to do.

    Args:
        error: what aiomqtt raised, alone or the first of a group; where it was raised from another error, that one is
            looked at too.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if (said := connection_words(error)) is not None:
        return said
    if str(error) == "Operation timed out":
        return "it timed out: the connection is open, but the broker does not answer; is it one, of this MQTT version?"
    if not all(isinstance(one, aiomqtt.MqttError) for one in _chain(error)):
        return "what it sent cannot be read: is it an MQTT broker?"
    return "the connection broke" if "Disconnected during" in str(error) else str(error)


def connection_words(error: BaseException) -> str | None:
    """Say why a connection did not come about, whatever was to be spoken over it; None where that is not known."""
    return next((said for one in _chain(error) if (said := _said(one)) is not None), None)


def _said(error: BaseException) -> str | None:
    said: str | None = None
    match error:
        case ssl.SSLCertVerificationError():
            known = _CERTIFICATE.get(error.verify_code, "its certificate cannot be trusted")
            said = f"{known} (certificate verify failed: {error.verify_message})"
        case ssl.SSLError():
            said = _tls_words(error)
        case socket.gaierror():
            said = f"its name cannot be found: check the address and this machine's network ({error.strerror})"
        case ConnectionRefusedError():
            said = "nobody listens there: does the broker run, are host and port right?"
        case TimeoutError():
            said = "it timed out: check the network and any firewall on the way"
        case aiomqtt.MqttCodeError():
            said = _of_broker(error)
    return said


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__


def _of_broker(error: aiomqtt.MqttCodeError) -> str:
    code = error.rc
    if not isinstance(code, ReasonCode):
        return str(error)
    if code.packetType == PacketTypes.DISCONNECT and code.value == REFUSALS:  # paho's word for a broken connection
        return "the connection broke"
    whose = "it closed the connection: " if code.packetType == PacketTypes.DISCONNECT else ""
    return f"{whose}{code_words(code)}"


def _tls_words(error: ssl.SSLError) -> str:
    said = str(error)
    for part, words in _TLS:
        if part in said:
            return f"{words} ({error.reason})"
    return f"TLS failed ({error.reason or said})"

"""One notification of WitMotion's stream, taken by itself and shown in the units on the wire."""

from collections.abc import Mapping

from gonio.drivers.codecs.wit_stream import FRAME_BYTES, HEADERS, MOTION, REGISTERS, FrameStream
from gonio.drivers.errors import CodecError
from gonio.drivers.fields import Decoded, decode_fields
from gonio.firmware_profiles.schema import Packet


def decode_stream_packet(packets: Mapping[str, Packet], data: bytes) -> dict[str, object]:
    """Decode the frames in one notification.

    Args:
        packets: the layouts, told apart by their prefix; the first that fits is taken.
        data: the notification.

    Returns:
        ``frames`` with the motion frames and ``coalesced_frames``, their number; a register answer by itself, or
        under ``replies`` beside frames; ``skipped_bytes`` that belong to no frame, ``leftover_bytes`` of a frame that
        goes on in the next notification. A single cut frame gives what is whole in it, with ``truncated`` true.

    Raises:
        CodecError: there is no frame in it. The vibration sensor's and the recorders' frames of 28 bytes share the
            header with these and end here.
    """
    if len(data) < len(MOTION) or (len(data) < FRAME_BYTES and data[:2] in HEADERS):
        return dict(_decode_frame(packets, data))
    stream = FrameStream()
    believed = [frame.data for frame in stream.feed(data)]
    leftover = stream.held_bytes
    for last in stream.finish():
        believed.append(last.data)
        leftover -= FRAME_BYTES
    if not believed and not leftover:
        raise CodecError(
            f"{len(data)} bytes beginning {data[:4].hex()} hold no frame of {FRAME_BYTES} bytes that begins with 5561 "
            f"or 5571 and ends where the next one begins: they come from another product"
        )
    motion = [_decode_frame(packets, frame) for frame in believed if frame.startswith(MOTION)]
    replies = [_decode_frame(packets, frame) for frame in believed if frame.startswith(REGISTERS)]
    decoded: dict[str, object] = {}
    if replies and not motion and len(replies) == 1:
        decoded.update(replies[0])
    else:
        decoded.update({"frames": motion, "coalesced_frames": len(motion)})
        if replies:
            decoded["replies"] = replies
    if leftover:
        decoded["leftover_bytes"] = leftover
    if stream.foreign_bytes:
        decoded["skipped_bytes"] = stream.foreign_bytes
    return decoded


def _decode_frame(packets: Mapping[str, Packet], frame: bytes) -> Decoded:
    packet = next((p for p in packets.values() if frame.startswith(p.prefix) or p.prefix.startswith(frame)), None)
    if packet is None:
        return {"truncated": True, "valid_bytes": len(frame)}
    decoded = decode_fields(packet, frame)
    if frame.startswith(REGISTERS) and len(frame) >= len(REGISTERS) + 2:
        return {"type": "register_reply", "start_register": int.from_bytes(frame[2:4], "little"), **decoded}
    return decoded

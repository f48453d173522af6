"""A family with flat packets needs a YAML file and no code."""

from pathlib import Path

import numpy as np
import pytest

from gonio.drivers.codec import Notification, StreamDecoder, StreamEncoder, decode_packet
from gonio.drivers.commands import Write, build_sequence
from gonio.firmware_profiles import Profile, load_profile
from gonio.signal.consts import STANDARD_GRAVITY

#: nordic_thingy52-004, constructed from the fixed-point formats of the maker's firmware source.
PACKET = bytes.fromhex("000400feff07200080f3803ea00020fe2003")


@pytest.fixture(scope="module")
def profile() -> Profile:
    return load_profile(Path(__file__).with_name("new_family.yaml"))


def test_its_packets_decode(profile: Profile) -> None:
    assert decode_packet(profile, "ef680406", PACKET) == {
        "raw": [1024, -512, 2047, 32, -3200, 16000, 160, -480, 800],
        "accel_g": [1.0, -0.5, 1.999023],
        "gyro_dps": [1.0, -100.0, 500.0],
        "mag_ut": [10.0, -30.0, 50.0],
    }


def test_its_stream_gives_samples_in_si(profile: Profile) -> None:
    decoder = StreamDecoder(profile, {})
    chunk = decoder.feed(Notification(decoder.characteristic, PACKET, 2_000_000_000))
    assert chunk is not None
    np.testing.assert_allclose(chunk.acc[0, :2], [STANDARD_GRAVITY, -STANDARD_GRAVITY / 2])
    np.testing.assert_allclose(chunk.gyr[0], np.radians([1, -100, 500]))
    assert chunk.sensor_s is None
    encoder = StreamEncoder(profile, {})
    (written,) = encoder.encode(chunk.acc, chunk.gyr)
    assert written[:12] == PACKET[:12]


def test_its_settings_are_written_before_the_stream(profile: Profile) -> None:
    (write,) = build_sequence(profile, "prepare", profile.resolve({"rate_hz": 200}))
    assert isinstance(write, Write)
    assert write.data == bytes.fromhex("e803f401f401c80000")

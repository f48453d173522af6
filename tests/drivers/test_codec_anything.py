"""Anything at all, given to any codec: a packet, the codecs' own error, or a count; never another exception."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.drivers.codec import Notification, StreamDecoder, StreamEncoder, decode_packet
from gonio.drivers.commands import decode_command
from gonio.drivers.errors import CodecError
from gonio.drivers.packets import find_packet
from gonio.firmware_profiles import Profile, builtin_profiles, get_profile
from tests.bluez.numbering import numbered

PROFILES = builtin_profiles()
STREAMING = [profile.family for profile in PROFILES if profile.sequences is not None]
#: The longest value of an attribute (Core specification, Vol 3, Part F, 3.2.9).
VALUES = st.binary(max_size=512)


def told(profile: Profile) -> st.SearchStrategy[dict[str, object]]:
    """Give what somebody may have said of a packet: any of the family's settings, or none."""
    return st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(list(setting.values)) for name, setting in profile.settings.items()}
    )


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.family)
@settings(max_examples=100, deadline=None)
@given(drawn=st.data())
def test_any_bytes_are_a_packet_or_the_codecs_own_error(profile: Profile, drawn: st.DataObject) -> None:
    role = drawn.draw(st.sampled_from(list(profile.characteristics)))
    data = drawn.draw(VALUES)
    with contextlib.suppress(CodecError):
        assert isinstance(decode_packet(profile, role, data, drawn.draw(told(profile))), dict)
    with contextlib.suppress(CodecError):
        decode_command(profile, role, data)
    for name in profile.packets:
        find_packet(profile, name, data)


def true_stream(profile: Profile, from_s: float) -> list[bytes]:
    """Give the notifications of some seconds of a stream, from a moment of the sensor's clock."""
    encoder = StreamEncoder(profile, {})
    acc = numbered(np.arange(256.0))
    moments_s = from_s + np.arange(256) / float(profile.resolve({})["rate_hz"])
    return encoder.encode(acc, np.zeros_like(acc), moments_s) + encoder.finish()


@pytest.mark.parametrize("family", STREAMING)
@settings(max_examples=40, deadline=None)
@given(drawn=st.data())
def test_whatever_comes_is_counted_and_the_stream_goes_on(family: str, drawn: st.DataObject) -> None:
    profile = get_profile(family)
    before = true_stream(profile, 1.0)
    values = drawn.draw(st.lists(st.one_of(VALUES, st.sampled_from(before)), max_size=20))
    steps_ns = drawn.draw(st.lists(st.integers(0, 10**9), min_size=len(values), max_size=len(values)))
    decoder = StreamDecoder(profile, {})
    arrival_ns = 0
    for value, step_ns in zip(values, steps_ns, strict=True):
        arrival_ns += step_ns
        chunk = decoder.feed(Notification(decoder.characteristic, value, arrival_ns))
        assert chunk is None or len(chunk) <= 8 * 512  # none has more samples than bits
    assert 0 <= decoder.malformed <= sum(len(value) + 1 for value in values)
    given_after = 0
    for value in true_stream(profile, 100.0):
        arrival_ns += 10**9
        chunk = decoder.feed(Notification(decoder.characteristic, value, arrival_ns))
        given_after += 0 if chunk is None else len(chunk)
    assert given_after > 0

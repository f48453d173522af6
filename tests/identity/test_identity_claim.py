"""Claim codes and the line in a QR code: what people type is read as they meant it, and nothing else is taken."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gonio.identity.claim import ClaimCodeError, ClaimTicket, digest, grouped, new_code, plain

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODES = st.text(st.sampled_from(ALPHABET), min_size=16, max_size=16)
HOSTS = st.sampled_from(["clinic.example", "192.0.2.7", "[2001:db8::1]", "clinic.example:8610", "[2001:db8::1]:8610"])
FINGERPRINTS = st.text(st.sampled_from("0123456789abcdef"), min_size=32, max_size=32)


@given(CODES, st.data())
def test_a_code_is_read_however_it_is_typed(code: str, data: st.DataObject) -> None:
    looks = {"0": "0Oo", "1": "1IiLl"}
    typed = "".join(
        data.draw(st.sampled_from(looks.get(one, one + one.lower()))) + data.draw(st.sampled_from(["", "-", " ", "\t"]))
        for one in code
    )
    assert plain(typed) == code
    assert plain(grouped(code)) == code


@given(st.text())
@example("U" * 16)
@example("\uff10" * 16)
def test_any_other_text_is_refused_and_never_repeated(text: str) -> None:
    try:
        code = plain(text)
    except ClaimCodeError as error:
        code = ""
        told = str(error)
        assert len(text) < 12 or text not in told
    assert code == "" or (len(code) == 16 and set(code) <= set(ALPHABET))


@given(CODES, HOSTS, FINGERPRINTS)
def test_the_line_comes_back(code: str, host: str, authority: str) -> None:
    ticket = ClaimTicket(code, f"https://{host}", authority)
    assert ClaimTicket.parse(f"  {ticket}\n") == ticket


@given(
    st.text()
    | st.builds(
        "{}://{}{}#{}".format,
        st.sampled_from(["http", "https", "mqtts", "file"]),
        st.text(),
        st.sampled_from(["", "/", "/x"]),
        st.text(),
    )
)
def test_any_other_line_is_refused_by_name(text: str) -> None:
    with pytest.raises(ClaimCodeError):
        ClaimTicket.parse(text)


@pytest.mark.parametrize(
    "line",
    [
        "http://c.example/#claim={code}&authority={print}",
        "https://user@c.example/#claim={code}&authority={print}",
        "https://c.example/path#claim={code}&authority={print}",
        "https://c.example:99999/#claim={code}&authority={print}",
        "https://c.example/#claim={code}&authority={print}0",
        "https://c.example/#claim={code}",
        "https://c.example/?claim={code}&authority={print}",
        "https:///#claim={code}&authority={print}",
    ],
)
def test_a_line_that_leads_elsewhere_is_refused_without_its_code(line: str) -> None:
    code = new_code()
    with pytest.raises(ClaimCodeError) as error:
        ClaimTicket.parse(line.format(code=code, print="0" * 32))
    assert code not in str(error.value)


def test_codes_are_random_and_kept_as_hashes_only() -> None:
    codes = {new_code() for _ in range(200)}
    assert len(codes) == 200
    assert len({digest(code) for code in codes}) == 200
    assert all(code.encode() not in digest(code) for code in codes)

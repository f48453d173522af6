"""Every language says everything, with the same values written in, and what is compiled is what is written."""

import gettext
import re
from datetime import date, datetime

import pytest

from gonio.gateway.page.languages import LANGUAGES, preferred, speech
from tests.gateway.page.catalogues import TRANSLATED, extracted, path_of, read
from tests.gateway.page.conftest import Visitor

_VALUE = re.compile(r"%\((\w+)\)s")


def _forms(text: object) -> list[str]:
    return list(text) if isinstance(text, (tuple, list)) else [str(text)]


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_catalogue_is_whole(code: str) -> None:
    wanted = {one.id for one in extracted() if one.id}
    catalogue = {one.id: one for one in read(code) if one.id}
    assert catalogue.keys() == wanted, "run 'make languages' and translate what is new"
    for key, one in catalogue.items():
        assert all(_forms(one.string)), f"{key} is not translated: run 'make languages'"
        assert not one.fuzzy
        values = {value for text in _forms(key) for value in _VALUE.findall(text)}
        for text in _forms(one.string):
            assert set(_VALUE.findall(text)) == values, f"{key}: {text}"


@pytest.mark.parametrize("code", TRANSLATED)
def test_what_is_compiled_is_what_is_written(code: str) -> None:
    with path_of(code, "mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for one in read(code):
        if one.id and isinstance(one.id, str):
            assert compiled.gettext(one.id) == one.string
        elif one.id:
            single, plural = _forms(one.id)
            assert [compiled.ngettext(single, plural, number) for number in (1, 2)] == _forms(one.string)


def test_every_language_that_is_offered_is_spoken() -> None:
    assert set(LANGUAGES) == {"en", *TRANSLATED}


@pytest.mark.parametrize(
    ("accepted", "code"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("es-MX, en;q=0.5", "es"),
        ("fr, de;q=0.3", "de"),
        ("en;q=0.2, es;q=0.9", "es"),
        ("xx;q=nonsense, *", "en"),
        ("de;q=0", "en"),
    ],
)
def test_the_browsers_wish_is_heard(accepted: str, code: str) -> None:
    assert preferred(accepted) == code


def test_days_and_times_are_said_as_people_say_them() -> None:
    day, noon = date(2026, 11, 22), datetime(2026, 11, 22, 15, 5)  # noqa: DTZ001 - already local
    assert [speech(code).day(day) for code in LANGUAGES] == [
        "Sunday, November 22",
        "domingo, 22 de noviembre",
        "Sonntag, 22. November",
    ]
    assert speech("de").clock(noon) == "15:05"
    assert speech("en").clock(noon).startswith("3:05")
    assert speech("en").degrees(-4.6) == "-5°"


async def test_a_phone_speaks_its_own_language(visitor: Visitor) -> None:
    assert "Wie geht es Ihnen?" in (await visitor.client.get("/log", headers={"accept-language": "de"})).text
    await visitor.post("/phones", {"name": "móvil", "language": "es"})
    text = (await visitor.client.get("/log", headers={"accept-language": "de"})).text
    assert 'lang="es"' in text
    assert "¿Cómo está?" in text

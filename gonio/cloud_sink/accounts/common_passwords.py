"""Passwords of twelve characters and more that attackers try first.

Not a list of leaked passwords but the ways in which people stretch a short one: a common word with digits around it or
written twice, runs along the keyboard or the alphabet, one short piece repeated.
"""

import re
from typing import Final

_WORDS_TEXT: Final = """
    password passwort passcode passphrase kennwort motdepasse contrasena parola login secret geheim welcome willkommen
    bienvenue bienvenido letmein letmeinnow changeme changemenow default temporary test testing user username guest
    admin administrator superuser root master access system computer internet server network qwerty qwertz azerty
    iloveyou princess sunshine football baseball basketball superman batman dragon monkey shadow michael jennifer
    jessica ashley charlie liverpool chelsea arsenal trustno iwillnotforget whatever freedom hello helloworld summer
    winter spring autumn sommer january february march april june july august september october november december
    monday tuesday wednesday thursday friday saturday sunday clinic klinik clinica hospital therapy therapist
    therapeut physio physiotherapy physiotherapist physicaltherapy rehab rehabilitation doctor patient patients medicine
    medical health healthcare nurse knee gonio goniometer monitoring remote correcthorsebatterystaple
"""
_WORDS: Final = frozenset(_WORDS_TEXT.split())
_RUNS: Final = tuple(
    run + run
    for run in (
        "01234567890",
        "12345678901234567890",
        "abcdefghijklmnopqrstuvwxyz",
        "qwertyuiopasdfghjklzxcvbnm",
        "qwertzuiopasdfghjklyxcvbnm",
        "azertyuiopqsdfghjklmwxcvbn",
        "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
        "1q2w3e4r5t6y7u8i9o0p",
        "q1w2e3r4t5y6u7i8o9p0",
        "!@#$%^&*()_+",
    )
)
_LONGEST_REPEATED: Final = 4  # one to four characters again and again are no password
_LEAST_RUN: Final = 4  # letters or digits in a row that count as a run
_LEET: Final = str.maketrans("@$01345!", "asoleasi")


def is_common(password: str) -> bool:
    """Tell whether a casefolded password without spaces is one of these."""
    bare = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", password)  # first, for the digits around a word are no letters
    return _is_repeated(password) or any(_is_made_of_words(text) for text in (password, bare.translate(_LEET)))


def _is_repeated(text: str) -> bool:
    return any(text == (text[:n] * len(text))[: len(text)] for n in range(1, _LONGEST_REPEATED + 1))


def _is_made_of_words(text: str) -> bool:
    """Tell whether nothing is left of a text but common words, runs, and digits and signs around them."""
    pieces = re.findall(r"[^\W\d_]+", text)
    if not pieces:
        return _is_run(text)
    return all(piece in _WORDS or _is_twice_a_word(piece) or _is_run(piece) for piece in pieces) or _is_run(text)


def _is_twice_a_word(piece: str) -> bool:
    half = len(piece) // 2
    return piece[:half] == piece[half:] and piece[:half] in _WORDS


def _is_run(text: str) -> bool:
    return len(text) >= _LEAST_RUN and any(text in run or text in run[::-1] for run in _RUNS)

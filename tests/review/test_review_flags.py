"""Each flag that the signal chain and the kit can raise has words on the session's page."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import gonio.gateway
import gonio.signal
from gonio.cloud_sink.review.flags import FLAGS, SENSOR_FAULTS, flag_finding
from gonio.signal.consts import EXERCISES, SEGMENTS
from gonio.signal.faults.watch import SENSOR_FAULTS as FAULTS
from gonio.signal.faults.watch import SESSION_FAULTS

#: Words with a hyphen in the chain's source that are no flags: figures that mean something in an exercise.
MEASURES = {"extension-deficit", "extensor-lag"}
FLAG = re.compile(r"^[a-z]+(-[a-z]+)+$")


def in_the_chain() -> Iterator[str]:
    """Give the texts in the chain's source that read like flags; an f-string stands for both segments."""
    for path in Path(str(gonio.signal.__file__)).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                for segment in SEGMENTS:
                    values = [part.value if isinstance(part, ast.Constant) else segment for part in node.values]
                    yield "".join(str(value) for value in values)


def on_the_kit() -> Iterator[str]:
    """Give what the kit's session and its links add: ``self._flags.add("...")``, ``self.flags.add("...")``."""
    for path in Path(str(gonio.gateway.__file__)).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"self._flags.add", "self.flags.add"}:
                values = (one.value for one in node.args if isinstance(one, ast.Constant))
                yield from (value for value in values if isinstance(value, str))


def raised() -> set[str]:
    no_flags = {*EXERCISES, *MEASURES, *FAULTS, *(f"{segment}-{segment}" for segment in SEGMENTS)}
    return {text for text in (*in_the_chain(), *on_the_kit()) if FLAG.match(text)} - no_flags


def test_each_flag_of_the_chain_and_the_kit_has_words() -> None:
    flags = raised()
    assert {
        "not-calibrated",
        "no-thigh-samples",
        "zero-assumed",
        "sensor-lost",
        "ended-at-limit",
    } <= flags  # the search finds flags
    missing = {flag for flag in flags if "does not know" in flag_finding(flag).what}
    assert missing == set()


def test_each_fault_of_a_sensor_and_of_a_session_has_words() -> None:
    assert FAULTS.keys() - SENSOR_FAULTS.keys() == set()
    assert SESSION_FAULTS.keys() - FLAGS.keys() == set()

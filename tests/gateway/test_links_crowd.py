"""The aim of eight sensors, in short: nothing lost or doubled; after a loss, exactly what was in the air."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from gonio.simulators.crowd import RATE_HZ, numbered, numbers


def bench() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "links.py"
    spec = importlib.util.spec_from_file_location("links_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["links_benchmark"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("lose_every_s", [None, 12.0], ids=["a perfect air", "links that are lost"])
async def test_eight_sensors_give_every_sample_once_that_did_not_die_in_the_air(lose_every_s: float | None) -> None:
    one, _ = await bench().run(8, 20.0, 1.0, lose_every_s)
    for address, tally in one.tallies.items():
        assert tally.doubled == 0
        assert len(tally.came) == tally.sent - tally.died, address
        if lose_every_s is None:
            assert len(tally.came) == 20 * RATE_HZ + 1
    assert all(adapter.most_at_once == 1 for adapter in one.adapters)
    lost = sum(len(tally.away_s) for tally in one.tallies.values())
    assert (lost > 0) == (lose_every_s is not None)


def test_a_number_is_read_off_its_sample() -> None:
    k = np.arange(0, 200_000, 7)
    acc, _ = numbered(k / RATE_HZ)
    np.testing.assert_array_equal(numbers(acc + 0.02), k)

"""What asyncio leaves to its users."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


async def apart(work: Coroutine[Any, Any, _T], name: str) -> _T:
    """Do something in a task of its own, so that whoever waits here always learns that it is to stop.

    Work that is cancelled may end otherwise: closing a connection fails, and that error takes the cancellation's
    place; a TaskGroup that is ending for an error drops a cancellation, and in Python 3.11 leaves its task marked as
    cancelled after one that was its own. A caller that goes on after errors would then never end.

    Args:
        work: what to do; cancelled when the caller is.
        name: of the task.
    """
    task = asyncio.create_task(work, name=name)
    try:
        await asyncio.wait([task])
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

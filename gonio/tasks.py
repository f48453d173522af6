"""What asyncio leaves to its users."""

import asyncio


def obey_cancellation() -> None:
    """Raise the cancellation of the current task that was swallowed on the way here, if there was one.

    ``asyncio.wait_for`` of Python 3.11, with which aiomqtt waits for a broker, drops a cancellation that comes in the
    same turn of the loop as the answer. A task that runs for ever asks here after each such wait, or it would go on
    for ever, and whoever stopped it would wait as long.

    Raises:
        asyncio.CancelledError: the task was told to stop.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError

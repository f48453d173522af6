"""Two sensors' raw samples into a recording, as they come."""

import asyncio
from collections import Counter
from collections.abc import Mapping

from gonio.errors import PeerError, UsageError
from gonio.gateway.groups import first_error
from gonio.gateway.streams import SensorStream
from gonio.recording import RecordingWriter
from gonio.signal.consts import Segment


async def record_streams(
    streams: Mapping[Segment, SensorStream], writer: RecordingWriter, stop: asyncio.Event
) -> Mapping[Segment, int]:
    """Write what connected sensors measure until ``stop`` is set; give how many samples each gave.

    Raises:
        PeerError: a sensor is lost; what came before is written.
        UsageError: the recording cannot be written any more.
    """
    samples: Counter[Segment] = Counter()
    writing = asyncio.Lock()  # the writer is for one thread at a time

    async def read(segment: Segment, stream: SensorStream) -> None:
        async for chunk in stream.chunks():
            async with writing:
                await asyncio.to_thread(writer.append, segment, chunk)
            samples[segment] += len(chunk)

    async def end() -> None:
        await stop.wait()
        for stream in streams.values():
            await stream.stop()

    try:
        async with asyncio.TaskGroup() as tasks:
            for stream in streams.values():
                await stream.start()
            readers = [
                tasks.create_task(read(segment, stream), name=f"record-{segment}")
                for segment, stream in streams.items()
            ]
            ending = tasks.create_task(end(), name="record-stop")
            await asyncio.wait(readers)
            ending.cancel()
    except* (PeerError, UsageError) as group:
        raise first_error(group) from None
    return samples

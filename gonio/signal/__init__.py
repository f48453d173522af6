"""From samples to knee angle and repetitions: pure, streaming, causal.

Each stage has ``feed(chunk) -> list`` and ``finish() -> list``. The law: however the same stream is cut into chunks,
the concatenated outputs are the same to the last bit.
"""

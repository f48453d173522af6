"""The codecs by name. Each is loaded when a profile first asks for it."""

from functools import cache
from importlib import import_module
from typing import Final

from gonio.drivers.codecs.base import Codec
from gonio.firmware_profiles.parts import CodecName

#: Name in profiles -> module, whose ``CODEC`` it is.
MODULES: Final[dict[CodecName, str]] = {
    "struct": "flat",
    "wit_stream": "wit",
    "dot_message": "dot",
    "mbient_frame": "mbient",
    "polar_pmd": "polar",
    "movesense_gsp": "movesense",
}


@cache
def get_codec(name: CodecName) -> Codec:
    """Give a codec by its name in profiles."""
    codec = import_module(f"{__name__}.{MODULES[name]}").CODEC
    if not isinstance(codec, Codec):
        raise TypeError(f"{MODULES[name]}.CODEC is no Codec")
    return codec

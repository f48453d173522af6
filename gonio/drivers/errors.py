"""What a codec raises."""

from gonio.errors import PeerError


class CodecError(PeerError):
    """Bytes that are no packet of the profile, or values that no packet can hold; the text says which."""

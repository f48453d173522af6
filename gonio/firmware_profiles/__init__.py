"""What each family of sensors speaks, as data: one YAML file a family, checked when it is loaded."""

from gonio.firmware_profiles.known import get_profile, known_profiles, third_party_profiles
from gonio.firmware_profiles.loading import builtin_profiles, load_profile
from gonio.firmware_profiles.schema import Packet, PacketField, Profile, ProfileError

__all__ = [
    "Packet",
    "PacketField",
    "Profile",
    "ProfileError",
    "builtin_profiles",
    "get_profile",
    "known_profiles",
    "load_profile",
    "third_party_profiles",
]

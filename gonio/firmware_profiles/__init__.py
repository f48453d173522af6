"""What each family of sensors speaks, as data: one YAML file a family, checked when it is loaded."""

from gonio.firmware_profiles.loading import builtin_profiles, get_profile, load_profile
from gonio.firmware_profiles.schema import Packet, PacketField, Profile, ProfileError

__all__ = ["Packet", "PacketField", "Profile", "ProfileError", "builtin_profiles", "get_profile", "load_profile"]

"""Which family an advertisement belongs to."""

from collections.abc import Iterable, Mapping

from gonio.firmware_profiles.schema import Profile


def match_advertisement(
    profiles: Iterable[Profile],
    name: str | None,
    service_uuids: Iterable[str] = (),
    manufacturer_data: Mapping[int, bytes] | None = None,
) -> Profile | None:
    """Find the family of an advertisement.

    The beginning of the name decides first, then an advertised service, then the company, whose other products
    advertise it too, and last a text anywhere in the name.

    Args:
        profiles: the families to choose from.
        name: the advertised name, if any.
        service_uuids: advertised services.
        manufacturer_data: by company id.

    Returns:
        The family, or None when it is none of them.
    """
    services = {uuid.lower() for uuid in service_uuids}
    ranked = [(_rank(p, name or "", services, manufacturer_data or {}), p) for p in profiles]
    best = max(ranked, key=lambda pair: pair[0], default=None)
    return best[1] if best and best[0] > 0 else None


def _rank(profile: Profile, name: str, services: set[str], companies: Mapping[int, bytes]) -> int:
    """Rate how surely an advertisement is of a family: 4 by its name's beginning, down to 0 for not at all."""
    match = profile.match
    if match.not_names and name.startswith(match.not_names):
        return 0
    if match.names and name.startswith(match.names):
        return 4
    if services & set(match.services):
        return 3
    if match.company_id in companies:
        return 2
    return 1 if any(text in name for text in match.name_contains) else 0

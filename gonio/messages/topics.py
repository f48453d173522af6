"""The topics on which kits and clinic speak; none holds personal data."""

import re
from typing import Final

from gonio.messages.wire import ENVELOPE_VERSION, DownKind, Kind

TOPIC_ROOT: Final = f"gonio/v{ENVELOPE_VERSION}"


def up_topic(kit_id: str, kind: Kind) -> str:
    """Name the topic on which a kit publishes records of a kind."""
    return f"{TOPIC_ROOT}/{kit_id}/up/{kind.value}"


def down_topic(kit_id: str, kind: DownKind) -> str:
    """Name the topic on which the clinic speaks to a kit."""
    return f"{TOPIC_ROOT}/{kit_id}/down/{kind.value}"


UP_FILTER: Final = f"{TOPIC_ROOT}/+/up/+"


def kit_of_topic(topic: str) -> str | None:
    """Give the kit whose ``up`` topic this is, or None when it is none of ours."""
    match = re.match(rf"^{TOPIC_ROOT}/([a-z0-9][a-z0-9-]{{2,63}})/up/[a-z-]+$", topic)
    return match.group(1) if match else None

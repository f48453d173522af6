"""What a kit may never send: a refusal that somebody has to look at, as it tells of a fault or of a forgery."""

from enum import StrEnum


class Alarm(StrEnum):
    """Why a refused record is an alarm."""

    SAME_ID = "same-id"  # a record id that is in the book with other content
    SAME_SEQUENCE = "same-sequence"  # a sequence of an outbox that is in the book under another id
    OTHER_KIT = "other-kit"  # a record that names another kit than the one on whose topic it came
    FORGED = "forged"  # an enrolled kit's record that is not signed with one of its keys
    REVOKED = "revoked"  # a record signed with a key that no longer counts
    NOT_ENROLLED = "not-enrolled"  # a record of a kit that no clinic has claimed, where only claimed ones may send

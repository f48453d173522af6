"""What may be billed for remote therapeutic monitoring, and why: pure, from records, rules and a date.

It proposes; a person certifies.
"""

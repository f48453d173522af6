"""The patient's page, served by the kit: today's exercises, the live angle, check-ins, progress, messages."""

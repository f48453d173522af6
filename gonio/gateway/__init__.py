"""The kit: finds the sensors, runs sessions, keeps every repetition, and hands the records to the clinic."""

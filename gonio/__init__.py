"""Open remote therapeutic monitoring of the knee: sensors, edge gateway, clinic."""

__version__ = "0.1.0"

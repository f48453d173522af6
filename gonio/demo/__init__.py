"""The whole product in one process: virtual sensors, kit, broker, clinic."""

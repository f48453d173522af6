"""Virtual legs, sensors and radios. Everything they make says that it is simulated."""

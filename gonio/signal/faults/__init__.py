"""What is wrong with a sensor, named, and what it spoils."""

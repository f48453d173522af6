"""What each family of sensors speaks, as data: one YAML file a family, checked when it is loaded."""

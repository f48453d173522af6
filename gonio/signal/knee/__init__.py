"""From how the sensors move to the knee's angle: axis, sense, zero, and whether they still hold."""

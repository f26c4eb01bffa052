"""What can be known about a derivative at a point, whoever derived it: nothing here sees the hand result."""

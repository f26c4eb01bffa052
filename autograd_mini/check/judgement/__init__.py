"""Who is right: one rule, which holds a hand result against the testimony on it."""

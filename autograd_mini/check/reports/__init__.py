"""What a person, a terminal, a notebook and a machine get to read of a check."""

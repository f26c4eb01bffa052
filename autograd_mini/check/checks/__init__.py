"""The checks that people call, each a way to claims that the one rule judges."""

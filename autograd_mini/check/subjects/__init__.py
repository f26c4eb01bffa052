"""What is checked: the function or graph, its arguments, the hand results, and the points to try them at."""

"""What rules of segments mean: read, compiled, put into words."""

"""Hot paths against floors that are measured in the same run: figures to compare, never assertions."""

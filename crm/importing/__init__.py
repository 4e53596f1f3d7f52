"""Reads a stranger's file, maps it onto what we declare, loads it; preview is the same code rolled back."""

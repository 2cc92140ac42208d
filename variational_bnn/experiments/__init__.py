"""Runs, the directory that keeps them, the engine that spreads them over workers, and what they say together."""

"""Builders, one file for each kind of variation: `(network, num_examples, ...)` gives a Keras model."""

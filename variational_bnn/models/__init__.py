"""Keras models: likelihoods, stochastic layers, losses and the KL, and the builders that put them together."""

"""One file for each kind of variation: `(network, num_examples, ...) -> tf_keras.Model` whose output is a distribution."""

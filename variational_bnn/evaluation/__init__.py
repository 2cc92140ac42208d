"""Arrays in, numbers out, without TensorFlow: regions, scores, distances to a reference, intervals and summaries."""

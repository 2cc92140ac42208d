"""One file for each figure; each takes tables or arrays and returns a Matplotlib figure, without pyplot."""

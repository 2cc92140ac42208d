"""One file a figure: each takes tables or arrays and returns a Matplotlib figure, made without pyplot."""

"""Tables in text, and figures: each is made from rows alone."""

"""Tables for the screen and figures, made from rows alone."""

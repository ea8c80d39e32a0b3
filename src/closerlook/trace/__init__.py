"""Where wrong values and shifted words can have come from: the instances that hold them, and how many chance alone would find."""

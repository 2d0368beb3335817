"""Facts → World. Pure: no I/O, no clock; the result depends on the facts alone."""

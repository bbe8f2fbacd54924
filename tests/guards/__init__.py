"""Guards: what must stay true of the whole program, whoever changes it."""

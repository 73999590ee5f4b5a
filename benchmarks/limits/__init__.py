"""How well the rate limiter does on accounts whose limits it does not know: total time and refusals, on a virtual clock."""

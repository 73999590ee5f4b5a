"""The limits of an account: rates, failures, the circuit breaker. Pure rules, which take the time of a monotonic clock."""

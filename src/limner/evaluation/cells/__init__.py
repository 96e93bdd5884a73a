"""What suites and sweeps share: one question to one model with one setting, and what came."""

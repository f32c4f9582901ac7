"""Real servers, the programs and the simulator, for tests, demo and benchmarks."""

"""Getting evidence inside a guest: the hardware's devices on Linux, and the simulated processor."""

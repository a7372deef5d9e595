"""Samplers: the loop, its kernels, and the methods with a step of their own."""

"""The driver of the measurements: what is measured, how, in which order, and what is made of it. See ../README.md."""

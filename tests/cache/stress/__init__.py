"""Loads against invalidations on every store, and the classic mistakes planted."""

"""Delivery: real workers, beats and servers, killed and restarted in every way that happens."""

"""The fault matrix: what becomes of a series-day, and of a healthy provider, while another provider is ill."""

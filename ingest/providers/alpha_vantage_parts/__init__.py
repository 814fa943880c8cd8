"""Parts of alpha_vantage.py: names, error texts, and the readers of its answers. Nothing else imports them."""

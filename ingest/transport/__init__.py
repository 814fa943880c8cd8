"""How requests reach a provider and what is done when they don't. Blind to providers: it sees wire values only."""

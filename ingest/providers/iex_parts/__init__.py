"""What ../iex.py is made of besides its facts and its questions.

No other file imports from here.
"""

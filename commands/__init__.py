"""The commands of `tickfarm`, a file a group; cli.py puts them together, terminal.py holds what they share."""

"""The use cases: one file a task, composed of the rooms above and below. The shell (tasks/) only calls in here."""

"""The tests, as a package, so that files of one name may stand in several folders (they mirror the tree)."""

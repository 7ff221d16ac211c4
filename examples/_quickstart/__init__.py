"""The steps of the quickstart, one file each, to be copied from."""

"""Many pictures: files, folders, tables and clusters."""

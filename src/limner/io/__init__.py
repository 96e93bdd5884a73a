"""Pictures and their values, from files and into files."""

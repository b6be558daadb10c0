"""The guest image: layers and their root hashes, building, showing, pushing, and whose layers are trusted."""

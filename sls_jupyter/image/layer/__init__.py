"""A layer: a tar's entries, the ext4 filesystem that they make, and the root of its dm-verity tree."""

"""Reports of version histories: rows, what they add up to, and the files that show them."""

"""The host: takes frames from terminals, decides about money, and commits before it answers."""

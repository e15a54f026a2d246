"""A canteen terminal in software: one on the screen, or thousands of them for load tests."""

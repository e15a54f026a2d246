"""One module per thing that reads bytes from outside."""

"""kill -9 torture: real processes, real sockets, real files; whatever is killed, no answer that was given is lost."""

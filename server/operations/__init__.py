"""What an administrator can do, one module per kind of thing. `server.admin` puts them together."""

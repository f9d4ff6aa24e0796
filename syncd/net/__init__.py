"""The exchange over HTTPS: the child asks (`client.py`), the parent answers (`server.py`)."""

"""docker-compose.yml for real; see smoke.py."""

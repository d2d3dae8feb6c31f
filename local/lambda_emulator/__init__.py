"""A stand-in for API Gateway's HTTP API and for Lambda, on this machine: it calls the real handlers."""

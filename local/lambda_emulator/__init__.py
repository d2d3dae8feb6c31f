"""Emulates API Gateway's HTTP API and Lambda on one machine, with the real handlers."""

"""Warnings of a worker about its Redis."""

import logging

import redis

from functions.worker.pool import redis_check


def warnings(server, caplog):
    caplog.clear()
    with caplog.at_level(logging.WARNING), redis.Redis(port=server.port) as connection:
        redis_check.warn(connection)
    return {record.message for record in caplog.records}


def test_a_redis_that_may_lose_data_logs_a_warning(server, store, caplog):
    assert warnings(server, caplog) == set()
    store.config_set("maxmemory-policy", "allkeys-lru")
    assert warnings(server, caplog) == {"redis_may_evict"}
    store.config_set("appendonly", "no")
    try:
        assert warnings(server, caplog) == {"redis_may_evict", "redis_not_durable"}
    finally:
        store.config_set("maxmemory-policy", "noeviction")
        store.config_set("appendonly", "yes")

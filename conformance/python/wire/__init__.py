"""The wire itself, byte for byte: what no client library would send, and what none shows."""

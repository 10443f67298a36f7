"""From a target to the bytes of an answer: address, guard, connections, relay. No database."""

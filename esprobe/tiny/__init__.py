"""How the bundled model `countdown-tiny` is made; nothing here is needed to use it."""

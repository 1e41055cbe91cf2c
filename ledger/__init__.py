"""What happened: events, the store that keeps them, and the pure domain (orders, rulebook, money, dates)."""

__version__ = "0.1.0"

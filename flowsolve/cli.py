"""The command `flowsolve`."""


def main() -> int:
    """Run it."""
    return 0

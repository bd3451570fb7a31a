"""Numbers as a sentence has them."""


def number(value: float, digits: int = 2, *, signed: bool = False) -> str:
    """Write a number with a true minus sign, and a plus where `signed`."""
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")

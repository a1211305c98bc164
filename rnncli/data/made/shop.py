"""Daily sales of a fictitious shop."""

from __future__ import annotations

import math


def daily() -> str:
    """CSV of three years, a row a day: sales = trend + yearly season + weekly season + promotion (known ahead) + past
    weather.

    Columns: date, sales, promotion (0 or 1, known ahead), temperature (not known ahead). Sales depend on yesterday's
    temperature, so a model that reads both beats one that reads only sales.
    """
    import numpy as np

    draw = np.random.RandomState(3)  # frozen (NEP 19); values are rounded far more coarsely than the last bits of sin
    rows = ["date,sales,promotion,temperature"]
    promotion, warmth = 0, 0.0
    for day in range(3 * 365 + 1):
        before = warmth
        if draw.randint(10) == 0:
            promotion = 1 - promotion
        year = math.sin(2 * math.pi * (day - 110) / 365.25)
        warmth = 0.7 * before + (draw.randint(-500, 501)) / 200
        week = (0, -4, -6, -2, 6, 18, -12)[day % 7]
        sales = 100 + 0.03 * day + 8 * year + week + 15 * promotion + 2 * before + draw.randint(-300, 301) / 100
        date = np.datetime64("2021-01-04") + day  # a Monday
        rows.append(f"{date},{sales:.1f},{promotion},{12 + 9 * year + warmth:.1f}")
    return "\n".join(rows) + "\n"

import numpy as np
import pytest

from devices.scenes.powder import BORON, LANTHANUM, LanthanumHexaboride, Pattern, Resolution


def test_form_factors_begin_with_all_electrons():
    assert LANTHANUM.at(0.0) == pytest.approx(57, abs=0.05)
    assert BORON.at(0.0) == pytest.approx(5, abs=0.01)


def test_the_strongest_lines_are_as_in_powder_files():
    """110 is the strongest of LaB6, 100 about half of it (copper's wavelength)."""
    pattern = Pattern(LanthanumHexaboride(), 1.5406)
    strengths = {line.index: area for line, area in zip(pattern.lines, pattern.areas, strict=True)}

    assert max(strengths, key=strengths.get) == 2
    assert 0.4 < strengths[1] < 0.7
    assert 7 not in strengths, "no three squares make 7"


def test_lines_lie_where_bragg_says_and_are_as_wide_as_said():
    pattern = Pattern(LanthanumHexaboride(), 0.4, highest=12.0)
    first = pattern.angles[0]
    assert 2 * 4.156826 * np.sin(np.radians(first / 2)) == pytest.approx(0.4)

    width = Resolution().width(first)
    assert pattern.at(first + width / 2) == pytest.approx(pattern.at(first) / 2, rel=0.01)


def test_a_wider_line_of_the_same_area_is_lower():
    narrow, wide = (Pattern(LanthanumHexaboride(), 0.4, Resolution(0.0, 0.0, w), 8.5) for w in (1e-4, 4e-4))
    angles = np.arange(5.0, 8.5, 0.001)
    ratio = [sum(pattern.at(angle) for angle in angles) / len(angles) for pattern in (narrow, wide)]
    # Both are relative to their own strongest line, which is half as high where lines are twice as wide.
    assert ratio[1] == pytest.approx(2 * ratio[0], rel=0.03)

"""Turning images, against NumPy and SciPy."""

import numpy as np
import pytest
import scipy.ndimage

from tf_symconv.comparison._turning import onto_canvas, turn_by_angles, turning


@pytest.mark.parametrize("size", [7, 8])
def test_quarter_turns_by_angle_are_those_of_numpy(size):
    images = np.random.default_rng(0).uniform(size=(5, size, size, 2)).astype("float32")
    turned = turn_by_angles(images, np.array([0.0, 90.0, 180.0, 270.0, -90.0]))
    for number, quarters in enumerate((0, 1, 2, 3, -1)):
        np.testing.assert_allclose(turned[number], np.rot90(images[number], quarters), atol=1e-5)
    assert turned.dtype == images.dtype


@pytest.mark.parametrize("size", [9, 10])
def test_any_angle_is_that_of_scipy(size):
    rng = np.random.default_rng(1)
    images, angles = rng.uniform(size=(6, size, size, 1)), rng.uniform(-400, 400, 6)
    for image, angle, turned in zip(images, angles, turn_by_angles(images, angles), strict=True):
        expected = scipy.ndimage.rotate(image, angle, reshape=False, order=1, mode="grid-constant")
        np.testing.assert_allclose(turned, expected, atol=1e-6)


def test_turns_of_a_group_are_its_elements_and_each_as_likely():
    images = np.random.default_rng(2).uniform(size=(800, 4, 4, 1))
    way = turning("group", "d4")
    which = way.draw(np.random.default_rng(3), 800)
    assert np.bincount(which).shape == (8,) and np.bincount(which).min() > 60
    turned = way.turn(images, which)
    candidates = [np.rot90(images, k, (1, 2)) for k in range(4)]
    candidates += [np.flip(each, 1) for each in candidates]
    for number, index in enumerate(which):
        np.testing.assert_array_equal(turned[number], candidates[index][number])
    angles = turning("any", "d4").draw(np.random.default_rng(3), 1000)
    assert angles.min() < 10 and angles.max() > 350


def test_the_canvas_is_square_with_the_image_in_the_middle():
    images = np.ones((2, 3, 5, 1))
    canvas = onto_canvas(images, 2)
    assert canvas.shape == (2, 9, 9, 1)
    np.testing.assert_array_equal(canvas[:, 3:6, 2:7], images)
    assert canvas.sum() == images.sum()

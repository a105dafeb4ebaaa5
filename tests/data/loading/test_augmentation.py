import dataclasses
import pickle

import numpy as np
import pytest

from gluonfr.core import GluonFRError, UsageError, generator
from gluonfr.data.loading.augmentation import Augmentation, get_augmentation, get_augmentation_list

LUMA = np.array([0.299, 0.587, 0.114])
EVERY_CHANGE = {
    "flip": {"flip": 1},
    "rotation": {"rotation": 20},
    "scale": {"scale": 0.2},
    "translation": {"translation": 0.1},
    "crop": {"crop": 1},
    "brightness": {"brightness": 0.5},
    "contrast": {"contrast": 0.5},
    "saturation": {"saturation": 0.5},
    "hue": {"hue": 0.2},
    "gray": {"gray": 1},
    "blur": {"blur": 1},
    "low_resolution": {"low_resolution": 1},
    "noise": {"noise": 1},
    "jpeg": {"jpeg": 1},
    "cutout": {"cutout": 1},
}


def colorful(height=112, width=96):
    """Return a smooth, asymmetric, colorful image, away from 0 and 255, with fine texture."""
    y, x = np.mgrid[:height, :width]
    planes = 128 + 50 * np.sin(x / 9), 120 + 45 * np.cos(y / 13 + x / 40), 90 + 60 * (x / width) * (y / height)
    texture = generator(7).uniform(-6, 6, (height, width, 1))
    return np.clip(np.stack(planes, axis=2) + texture, 0, 255).astype(np.uint8)


def plain(value, side=64):
    return np.full((side, side, 3), value, np.uint8)


def dots(*positions, side=101):
    image = np.zeros((side, side, 3), np.uint8)
    for x, y in positions:
        image[y - 2 : y + 3, x - 2 : x + 3] = 255
    return image


def center_of_mass(image):
    weight = image[:, :, 0].astype(float)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def two_dots_after(augmentation, seed):
    """Return the new positions of a dot left and a dot right of the middle, measured separately."""
    return [center_of_mass(augmentation(dots(at), generator(seed))) for at in ((30, 50), (70, 50))]


@pytest.mark.parametrize("name", EVERY_CHANGE)
def test_a_change_changes_pixels_only(name):
    image = colorful()
    before = image.copy()
    results = [Augmentation(**EVERY_CHANGE[name])(image, generator(seed)) for seed in range(5)]
    assert all(result.shape == image.shape and result.dtype == np.uint8 for result in results)
    assert all((result != before).any() for result in results)
    assert (image == before).all()


@pytest.mark.parametrize("name", EVERY_CHANGE)
def test_results_depend_on_the_generator_alone(name):
    augmentation = Augmentation(**EVERY_CHANGE[name])
    image = colorful()
    first = augmentation(image, generator(3, 1, 2, 3))
    augmentation(colorful(50, 50), generator(9))
    assert (augmentation(image, generator(3, 1, 2, 3)) == first).all()
    if name not in ("flip", "gray"):
        assert (augmentation(image, generator(3, 1, 2, 4)) != first).any()


@pytest.mark.parametrize("name", [name for name in EVERY_CHANGE if name != "flip"])
def test_other_changes_do_not_alter_the_flips(name):
    image = colorful()
    both, alone = Augmentation(flip=0.5, **EVERY_CHANGE[name]), Augmentation(**EVERY_CHANGE[name])
    mirrored = 0
    for seed in range(20):
        flipped = (Augmentation(flip=0.5)(image, generator(seed)) != image).any()
        expected = alone(image[:, ::-1] if flipped else image, generator(seed))
        assert (both(image, generator(seed)) == expected).all()
        mirrored += flipped
    assert 3 <= mirrored <= 17


def test_the_preset_none_changes_nothing():
    image = colorful()
    assert (get_augmentation("none")(image, generator(1)) == image).all()
    assert get_augmentation(None) == Augmentation()


def test_flip_mirrors_half_of_the_images_left_to_right():
    image = colorful()
    results = [get_augmentation("flip")(image, generator(0, 0, 0, seed)) for seed in range(400)]
    mirrored = [(result == image[:, ::-1]).all() for result in results]
    assert all(is_mirrored or (result == image).all() for is_mirrored, result in zip(mirrored, results))
    assert 160 < sum(mirrored) < 240


def test_rotation_turns_about_the_middle():
    angles = []
    for seed in range(40):
        left, right = two_dots_after(Augmentation(rotation=30), seed)
        assert np.linalg.norm(right - left) == pytest.approx(40, abs=0.5)
        assert (left + right) / 2 == pytest.approx([50, 50], abs=0.3)
        angles.append(np.degrees(np.arctan2(*(right - left)[::-1])))
    assert -31 < min(angles) < -20
    assert 20 < max(angles) < 31


def test_scale_is_a_factor_of_distances():
    factors = []
    for seed in range(40):
        left, right = two_dots_after(Augmentation(scale=0.25), seed)
        assert left[1] == pytest.approx(50, abs=0.3)
        assert right[1] == pytest.approx(50, abs=0.3)
        factors.append((right - left)[0] / 40)
    assert 0.74 < min(factors) < 0.85
    assert 1.15 < max(factors) < 1.26


def test_translation_is_a_fraction_of_the_side():
    moves = np.array([two_dots_after(Augmentation(translation=0.1), seed) for seed in range(40)]) - [[30, 50], [70, 50]]
    assert moves[:, 0] == pytest.approx(moves[:, 1], abs=0.2)
    assert (np.abs(moves) < 10.3).all()
    assert (moves.max(axis=(0, 1)) > 6).all()
    assert (moves.min(axis=(0, 1)) < -6).all()


def test_crop_enlarges_a_part_inside_the_image():
    crop = Augmentation(crop=1, crop_area=(0.25, 0.64), border="black")
    assert all((crop(plain(200), generator(seed)) == 200).all() for seed in range(30))
    factors = []
    for seed in range(30):
        both = crop(dots((47, 50), (53, 50)), generator(seed))[:, :, 0] > 60
        if both.any() and not both[:, [0, -1]].any() and not both[[0, -1]].any():
            factors.append(np.ptp(np.nonzero(both)[1]) / 11)
    assert min(factors) > 1.1
    assert 1.6 < max(factors) < 2.2


def test_borders_are_filled_by_the_chosen_rule():
    def turned(border):
        return Augmentation(rotation=60, border=border)(plain(250), generator(5))

    assert (turned("black")[0, 0] == 0).all()
    assert (turned("reflect") == 250).all()
    assert (turned("replicate") == 250).all()


def test_brightness_multiplies():
    values = [Augmentation(brightness=0.2)(plain(100), generator(seed)) for seed in range(60)]
    assert all((value == value[0, 0, 0]).all() for value in values)
    factors = [value[0, 0, 0] / 100 for value in values]
    assert 0.79 < min(factors) < 0.84
    assert 1.16 < max(factors) < 1.21


def test_contrast_preserves_the_mean_luma():
    image = colorful()
    spreads = []
    for seed in range(40):
        result = Augmentation(contrast=0.4)(image, generator(seed)) @ LUMA
        assert result.mean() == pytest.approx((image @ LUMA).mean(), abs=1)
        spreads.append(result.std() / (image @ LUMA).std())
    assert 0.58 < min(spreads) < 0.7
    assert 1.3 < max(spreads) < 1.42


@pytest.mark.parametrize("change", [{"saturation": 0.5}, {"hue": 0.1}])
def test_saturation_and_hue_preserve_luma_and_grays(change):
    image = colorful()
    gray = np.repeat(image[:, :, :1], 3, axis=2)
    for seed in range(20):
        augmentation = Augmentation(**change)
        difference = augmentation(image, generator(seed)) @ LUMA - image @ LUMA
        assert np.abs(difference).mean() < 0.6
        assert np.abs(augmentation(gray, generator(seed)).astype(int) - gray).max() <= 1


def test_hue_changes_red_towards_its_neighbors():
    red = plain(0)
    red[:, :, 0] = 120
    turned = np.array([Augmentation(hue=1 / 3)(red, generator(seed))[0, 0] for seed in range(200)]).astype(int)
    winners = set(turned.argmax(axis=1))
    assert winners == {0, 1, 2}


def test_gray_is_the_luma_in_every_channel():
    image = colorful()
    result = Augmentation(gray=1)(image, generator(1)).astype(float)
    assert np.abs(result - (image @ LUMA)[:, :, None]).max() < 0.6


def test_blur_and_low_resolution_remove_detail():
    y, x = np.mgrid[:64, :64]
    chessboard = np.repeat(((x + y) % 2 * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    for change in ({"blur": 1, "blur_sigma": (1.5, 1.5)}, {"low_resolution": 1, "low_resolution_scale": (0.25, 0.25)}):
        for seed in range(8):
            result = Augmentation(**change)(chessboard, generator(seed)).astype(float)
            assert np.abs(np.diff(result, axis=1)).mean() < 30
            assert (Augmentation(**change)(plain(77), generator(seed)) == 77).all()


def test_blur_has_the_stated_sigma():
    point = np.zeros((41, 41, 3), np.uint8)
    point[20, 20] = 255
    point[19:22, 19:22] = 255
    result = Augmentation(blur=1, blur_sigma=(1.5, 1.5))(point, generator(1))[:, :, 0].astype(float)
    variance = (result.sum(axis=0) * (np.arange(41) - 20) ** 2).sum() / result.sum()
    # The variance of a 3-pixel box (2/3) and of the blur add up; the truncated kernel and the rounding reduce it.
    assert variance == pytest.approx(2 / 3 + 1.5**2, rel=0.12)


@pytest.mark.parametrize("side", [112, 400])
def test_noise_is_gaussian_with_the_stated_sigma(side):
    augmentation = Augmentation(noise=1, noise_sigma=(10, 10))
    first, second = (augmentation(plain(128, side), generator(seed)).astype(float) - 128 for seed in (1, 2))
    assert first.mean() == pytest.approx(0, abs=0.3)
    assert first.std() == pytest.approx(10, rel=0.03)
    assert (np.abs(first) < 10).mean() == pytest.approx(0.66, abs=0.05)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(first[:, :, 0].ravel(), first[:, :, 1].ravel())[0, 1]) < 0.05


def test_jpeg_error_falls_with_the_quality_and_preserves_colors():
    image = colorful()

    def error(quality):
        result = Augmentation(jpeg=1, jpeg_quality=(quality, quality))(image, generator(1))
        return np.abs(result.astype(int) - image).mean()

    assert error(10) > error(50) > error(95) > 0
    red = plain(0)
    red[:, :, 0] = 220
    result = Augmentation(jpeg=1)(red, generator(1)).astype(int)
    assert np.abs(result - red).max() < 12


def test_cutout_is_one_rectangle_of_one_color():
    image = colorful(100, 120)
    areas = []
    for seed in range(60):
        result = Augmentation(cutout=1, cutout_area=(0.05, 0.15))(image, generator(seed))
        changed = (result != image).any(axis=2)
        rows, columns = np.nonzero(changed.any(axis=1))[0], np.nonzero(changed.any(axis=0))[0]
        box = result[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (box == box[0, 0]).all()
        areas.append(box[:, :, 0].size / changed.size)
    assert max(areas) < 0.17
    assert np.median(areas) > 0.04


def test_presets_are_listed_and_compared():
    assert get_augmentation_list() == ["flip", "none", "standard", "strong"]
    image = colorful()
    for name in get_augmentation_list():
        assert get_augmentation(name)(image, generator(1)).shape == image.shape
    own = Augmentation(flip=0.25)
    assert get_augmentation(own) is own
    strong = get_augmentation("Strong")
    assert pickle.loads(pickle.dumps(strong)) == strong
    assert strong != get_augmentation("standard")
    assert "jpeg=0.2" in repr(strong)
    assert "border" not in repr(strong)


def test_a_preset_with_changes_differs_in_them_alone():
    changed = get_augmentation("standard", low_resolution=1, low_resolution_scale=[0.1, 0.2])
    assert (changed.low_resolution, changed.low_resolution_scale) == (1, (0.1, 0.2))
    assert dataclasses.replace(changed, low_resolution=0.0, low_resolution_scale=(0.25, 0.8)) == get_augmentation("standard")
    assert get_augmentation(Augmentation(gray=1), flip=0.5) == Augmentation(gray=1, flip=0.5)
    with pytest.raises(UsageError, match="augmentation 'flip' has no argument 'low_res'; it accepts flip, geometric"):
        get_augmentation("flip", low_res=1)
    with pytest.raises(UsageError, match="has no argument '_recolors'"):
        get_augmentation("flip", _recolors=True)
    with pytest.raises(UsageError, match="has no argument 'flip'"):
        get_augmentation(lambda image, rng: image, flip=1)
    with pytest.raises(UsageError, match="low_resolution=2 of an augmentation must be a probability"):
        get_augmentation("flip", low_resolution=2)


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(GluonFRError, match="'strong'.*flip, none, standard, strong"):
        get_augmentation("stronk")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"flip": 1.5}, "flip=1.5"),
        ({"noise": "much"}, "noise='much'"),
        ({"rotation": -3}, "rotation=-3"),
        ({"brightness": 2}, "brightness=2"),
        ({"hue": float("nan")}, "hue=nan"),
        ({"crop_area": (0.9, 0.2)}, r"crop_area=\(0.9, 0.2\)"),
        ({"jpeg_quality": 30}, "jpeg_quality=30"),
        ({"jpeg_quality": (0, 30)}, r"jpeg_quality=\(0, 30\)"),
        ({"border": "wrap"}, "border='wrap'.*'reflect'"),
    ],
)
def test_arguments_out_of_range_are_rejected(arguments, named):
    with pytest.raises(GluonFRError, match=named):
        Augmentation(**arguments)


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), [[0]]])
def test_images_of_another_type_are_rejected(image):
    with pytest.raises(GluonFRError, match="uint8"):
        Augmentation(flip=1)(image, generator(1))

"""Recipes: what is chosen for the options that are not given."""

import math

import pytest

from gluonfr.core import Card, DataError, UsageError
from gluonfr.engine.detector.options import DetectorOptions
from gluonfr.engine.detector.recipe import complete_detector_options
from gluonfr.engine.options import PLAIN_TRAINING, TrainOptions
from gluonfr.engine.recipes import choose_recipe, complete_options, describe_recipe, scale_for

CELEB, CASIA, MS1M = (293, 5_967), (10_572, 490_623), (85_742, 5_822_653)


def complete(size, card=None, **given):
    options = TrainOptions(dataset="a", **given)
    return complete_options(options, choose_recipe(options, *size, card=card))


def test_with_85000_people_it_is_the_published_arcface_recipe():
    options = complete(MS1M)
    assert (options.network, options.loss, options.loss_args) == ("lresnet100e_ir", "arc", {"s": 64, "m": 0.5})
    assert (options.batch_size, options.lr, options.wd, options.momentum, options.schedule) == (512, 0.1, 5e-4, 0.9, "step")
    assert options.augment == "flip"
    # The paper: divided by 10 after 100,000 and 160,000 steps of 512 images, finished after 180,000.
    steps = [epoch * MS1M[1] / 512 for epoch in (*options.drops, options.epochs)]
    assert steps == pytest.approx([100_000, 160_000, 180_000], rel=0.02)


def test_with_10000_people_it_is_the_paper_s_recipe_for_casia():
    options = complete(CASIA)
    steps = [epoch * CASIA[1] / 512 for epoch in (*options.drops, options.epochs)]
    assert steps == pytest.approx([20_000, 28_000, 32_000], rel=0.02)


def test_little_data_gets_a_small_network_a_small_scale_and_strong_augmentation():
    options = complete(CELEB)
    assert options.loss_args["s"] == round(3 * math.sqrt(2) * math.log(292)) == 24
    assert (options.network, options.augment, options.loss) == ("lresnet10e_ir", "strong", "cos")
    assert 250_000 < options.epochs * CELEB[1] < 350_000
    assert 0 < options.warmup < options.epochs / 5
    assert options.hold_out == 0
    # A student learns twice as long.
    assert 550_000 < complete(CELEB, teacher="y1").epochs * CELEB[1] < 650_000


def test_no_option_is_left_open_and_completing_twice_changes_nothing():
    for size in (CELEB, CASIA, MS1M, (4, 20)):
        options = complete(size)
        assert complete_options(options, choose_recipe(options, *size)) == options
        assert all(value is not None for name, value in options.to_dict().items() if name in PLAIN_TRAINING)


def test_what_is_given_is_used():
    options = complete(CELEB, loss_args={"m": 0.2}, network_args={"dropout": 0.5}, lr=0.05, average=0)
    assert options.loss_args == {"s": 24, "m": 0.2}
    assert options.network_args["dropout"] == 0.5
    assert options.network_args["embedding_size"] == 128
    assert (options.lr, options.average) == (0.05, 0)
    options = complete(CELEB, network="mobilefacenet", loss="softmax")
    assert (options.network_args, options.loss_args) == ({}, {})
    assert complete(CELEB, loss="arc").loss_args == {"s": 24}
    assert complete(CELEB, loss="arc", loss_args={"s": 64}).loss_args == {"s": 64}
    assert complete(MS1M, drops=[3]).schedule == complete(CELEB, drops=[3]).schedule == "step"


def test_lengths_follow_the_number_of_epochs_or_steps():
    whole, short = complete(CELEB), complete(CELEB, epochs=5)
    assert short.warmup == pytest.approx(whole.warmup * 5 / whole.epochs, rel=1e-3)
    by_steps = complete(CELEB, steps=100)
    assert by_steps.warmup * CELEB[1] / 64 == pytest.approx(10, abs=0.1)
    assert complete(MS1M, epochs=8).drops == pytest.approx([8 * 5 / 9, 8 * 8 / 9], abs=0.01)


def test_fine_tuning_takes_the_network_from_the_card_and_holds_people_out_unless_a_set_is_named():
    card = Card(network="dlib_resnet29", arguments={"embedding_size": 128}, image_size=(150, 150), template="dlib")
    options = complete(CELEB, card, pretrained="dlib_resnet29")
    assert (options.network, options.network_args) == ("dlib_resnet29", {"embedding_size": 128})
    assert options.hold_out > 0
    # Only the last block is trained, at a tenth of the rate from scratch, and held near the start.
    assert (options.freeze, options.lr) == ("-1", complete(CELEB).lr / 10)
    assert options.stay_close > 0
    assert (options.init_classifier, options.batch_norm) == ("means", "frozen")
    # All blocks take a larger rate.
    whole = complete(CELEB, card, pretrained="dlib_resnet29", freeze="0")
    assert (whole.freeze, whole.lr) == ("0", complete(CELEB).lr / 2)
    # All of a student learns from a teacher, for longer, and nothing holds it at its start.
    student = complete(CELEB, card, pretrained="dlib_resnet29", teacher="y1")
    assert (student.freeze, student.lr_decay_by_depth, student.stay_close) == (None, 1, 0)
    assert (student.optimizer, student.wd, student.clip_norm) == ("adam", 0, 0)
    assert student.epochs > 2 * options.epochs
    assert complete(CELEB, card, pretrained="dlib_resnet29", val=["lfw"]).hold_out == 0
    assert complete(CELEB, card, pretrained=True, network="dlib_resnet29", val=["lfw"], hold_out=0.2).hold_out == 0.2


def test_a_rate_is_not_used_for_an_optimizer_that_it_does_not_suit():
    with pytest.raises(UsageError, match=r"optimizer='adam' needs lr=: the recipe's rate of 0\.1 is for sgd\."):
        complete(CELEB, optimizer="adam")
    assert complete(CELEB, optimizer="adam", lr=0.004).lr == 0.004
    assert complete(CELEB, optimizer="nag").lr == complete(CELEB).lr
    card = Card(network="mobilefacenet", image_size=(112, 112))
    with pytest.raises(UsageError, match=r"optimizer='sgd' needs lr=: the recipe's rate of 0\.0003 is for adam\."):
        complete(CELEB, card, pretrained="y1", teacher="y1", optimizer="sgd")
    with pytest.raises(UsageError, match="optimizer='adam' needs lr="):
        complete_detector_options(DetectorOptions(data="wider", optimizer="adam"), photos=100)


def test_the_log_states_what_was_chosen_and_why():
    options = TrainOptions(dataset="a", lr=0.3)
    recipe = choose_recipe(options, *CELEB)
    text = describe_recipe(options, complete_options(options, recipe), recipe)
    assert "293 people with 5,967 images" in text
    assert "network='lresnet10e_ir'" in text
    assert "loss_args={'s': 24, 'm': 0.3}" in text
    assert " lr=" not in text


def test_the_scale_grows_with_the_number_of_people_up_to_that_of_the_paper():
    scales = [scale_for(people) for people in (2, 10, 100, 1_000, 10_000, 10**6, 10**8)]
    assert scales == sorted(scales)
    assert scales[0] >= 8
    assert scales[-1] == 64


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"freeze": "2"}, "freeze='2' must be used with pretrained"),
        ({"stay_close": 1.0}, "stay_close=1.0 must be used with pretrained"),
        ({"distill_weight": 2.0}, "distill_weight=2.0 must be used with a teacher"),
        ({"label_weight": 0.0}, "label_weight=0.0 must be 1 without a teacher"),
        ({"unlabeled": ["b"]}, r"unlabeled=\['b'\] must be used with a teacher"),
        ({"mixed": 5}, "mixed=5 must be used with a teacher"),
        ({"mixed": -5}, "mixed=-5 must be from 0 to 100,000,000"),
        ({"mixed": 10**12, "teacher": "x"}, "mixed=1000000000000 must be from 0 to 100,000,000"),
        ({"lr_decay_by_depth": 0.0}, "lr_decay_by_depth=0.0 must be above 0"),
        ({"hold_out": 0.9}, "hold_out=0.9 must be a fraction of at most 0.5"),
        ({"init_classifier": "zero"}, "init_classifier='zero' must be one of random, means"),
        ({"distill": "all", "teacher": "x"}, "distill='all' must be one of cosine"),
    ],
)
def test_options_that_have_no_effect_or_no_sense_are_refused(given, message):
    with pytest.raises(UsageError, match=message):
        TrainOptions(dataset="a", **given)


def test_a_run_of_an_older_version_resumes_and_saved_options_are_read_again():
    options = complete(CELEB)
    now = options.fixed_on_resume()
    older = {
        name: value for name, value in now.items() if name not in (*PLAIN_TRAINING, "teacher", "freeze", "unlabeled", "mixed")
    }
    assert options.first_difference(older) == ""
    assert TrainOptions.from_dict(options.to_dict()).to_dict() == options.to_dict()
    with pytest.raises(DataError, match="stay_close"):
        TrainOptions.from_dict(dict(options.to_dict(), stay_close="much"))


def test_with_steps_a_run_is_resumed_although_the_recipe_has_other_epochs():
    # As after an update that trains longer by default.
    before = complete(CELEB, steps=1000, epochs=20).fixed_on_resume()
    assert complete(CELEB, steps=1000, epochs=40).first_difference(before) == ""
    assert complete(CELEB, steps=2000, epochs=20).first_difference(before) == "steps=1000 instead of 2000"
    before = complete(CELEB, epochs=20).fixed_on_resume()
    assert complete(CELEB, epochs=40).first_difference(before).startswith("epochs=20")

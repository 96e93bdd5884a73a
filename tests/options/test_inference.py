"""Settings: types and ranges are checked when made, and one without effect is refused."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner import options as opts
from limner.errors import OptionError
from limner.options import (
    CanvasOptions,
    DetectOptions,
    EditOptions,
    EndpointOptions,
    EverythingOptions,
    FrameOptions,
    InpaintOptions,
    LabelOptions,
    RedactOptions,
    SegmentOptions,
    TeachOptions,
    check_honoured,
)

CLASSES: list[type[Any]] = [
    DetectOptions,
    SegmentOptions,
    EverythingOptions,
    InpaintOptions,
    CanvasOptions,
    EditOptions,
    FrameOptions,
    RedactOptions,
    TeachOptions,
    EndpointOptions,
    LabelOptions,
]

FIELDS = [
    pytest.param(cls, spec, id=f"{cls.__name__}.{spec.name}")
    for cls in CLASSES
    for spec in dataclasses.fields(cls)
]


def test_all_options_classes_are_tested_here() -> None:
    found = {value for name, value in vars(opts).items() if name.endswith("Options")}
    assert found == set(CLASSES)


def kind_of(cls: type[Any], name: str) -> tuple[type, bool]:
    hints = typing.get_type_hints(cls)
    return opts.field_type(hints[name])


SEVERAL = ("phrase_thresholds", "validation_prompt")
"""Fields that hold more than one value."""


@pytest.mark.parametrize(("cls", "spec"), FIELDS)
def test_every_field_is_flat_typed_and_explained(
    cls: type[Any], spec: dataclasses.Field[Any]
) -> None:
    """What the command line is generated from: a simple type, a sentence, a legal default."""
    kind, optional = kind_of(cls, spec.name)
    assert kind in (bool, int, float, str) or spec.name in SEVERAL
    assert spec.metadata["help"].endswith(".")
    assert spec.default is not None or optional
    assert getattr(cls(**{spec.name: spec.default}), spec.name) == spec.default


BESIDE: dict[str, dict[str, Any]] = {
    **{name: {"look": "tiles"} for name in ("slice_wh", "overlap_wh")},
    "num_validation_images": {"validation_steps": 100},
    "lr_num_cycles": {"lr_scheduler": "cosine_with_restarts", "max_train_steps": 10_000},
    "lr_power": {"lr_scheduler": "polynomial"},
    "amount": {"style": "blur"},
}
"""What must be set for a field to have an effect."""


@pytest.mark.parametrize(("cls", "spec"), FIELDS)
def test_range_ends_are_inside_and_what_lies_beyond_is_refused(
    cls: type[Any], spec: dataclasses.Field[Any]
) -> None:
    kind, _ = kind_of(cls, spec.name)
    beside = BESIDE.get(spec.name, {})
    for end, beyond in (("low", -1), ("high", 1)):
        bound = spec.metadata[end]
        if bound is None:
            continue
        assert getattr(cls(**{spec.name: kind(bound), **beside}), spec.name) == bound
        outside = bound + beyond if kind is int else math.nextafter(bound, beyond * math.inf)
        with pytest.raises(OptionError, match=f"{spec.name} must be"):
            cls(**{spec.name: outside, **beside})


WRONG: dict[type, list[Any]] = {
    bool: [0, 1, "true", 1.0],
    int: [True, 1.0, "1", [1], math.nan, 10**400],
    float: [True, "0.5", [0.5], math.nan, math.inf, -math.inf, 10**400, 1j],
    str: [1, True, b"blur", ["blur"]],
    tuple: [5, "dog", [("dog", 2)], [("dog", math.nan)], [("dog",)], [("dog", 10**400)]],
}


@pytest.mark.parametrize(("cls", "spec"), FIELDS)
def test_wrong_types_and_non_numbers_are_option_errors(
    cls: type[Any], spec: dataclasses.Field[Any]
) -> None:
    """True is no int, "1" is no number, NaN passes no comparison and must not pass for legal."""
    kind, optional = kind_of(cls, spec.name)
    wrong = [*WRONG[kind], *([] if optional else [None])]
    if spec.name == "validation_prompt":
        wrong = [5, [5], [""], [("dog", 2)], None]  # one prompt may be given without a list
    for value in wrong:
        with pytest.raises(OptionError, match=spec.name):
            cls(**{spec.name: value})
    assert len(wrong) >= 4


@pytest.mark.parametrize(("cls", "spec"), FIELDS)
def test_none_means_the_models_default_where_it_is_allowed(
    cls: type[Any], spec: dataclasses.Field[Any]
) -> None:
    if kind_of(cls, spec.name)[1]:
        assert getattr(cls(**{spec.name: None}), spec.name) is None
    else:
        with pytest.raises(OptionError):
            cls(**{spec.name: None})


def test_phrase_thresholds_are_pairs_and_come_back_through_json() -> None:
    made = DetectOptions(phrase_thresholds=[["dog", 1], ("cat", 0.25)])  # type: ignore[arg-type]
    assert made.phrase_thresholds == (("dog", 1.0), ("cat", 0.25))
    assert opts.from_dict(DetectOptions, json.loads(json.dumps(opts.to_dict(made)))) == made


def test_a_whole_number_is_accepted_for_a_float_and_becomes_one() -> None:
    made = DetectOptions(threshold=1)
    assert isinstance(made.threshold, float)
    assert made == DetectOptions(threshold=1.0)


MESSAGES = [
    (
        "both ends",
        lambda: DetectOptions(threshold=2.0),
        "threshold must be between 0 and 1, got 2.0.",
    ),
    ("one end", lambda: EditOptions(dilate=-1), "dilate must be at least 0, got -1."),
    (
        "no end",
        lambda: SegmentOptions(mask_threshold=math.nan),
        "mask_threshold must be a finite number, got nan.",
    ),
    ("type", lambda: DetectOptions(max_detections="9"), "max_detections is a int, got '9'."),
    (
        "choice",
        lambda: RedactOptions(style="smear"),
        "style is one of solid, blur, pixelate; got 'smear'.",
    ),
    (
        "unknown key",
        lambda: opts.from_dict(RedactOptions, {"styel": "blur", "amount": 0.1}),
        "RedactOptions has region, style, amount, colour, dilate; got styel.",
    ),
]


@pytest.mark.parametrize(
    ("make", "message"), [pytest.param(*row[1:], id=row[0]) for row in MESSAGES]
)
def test_messages_say_what_was_expected_and_what_came(make: Any, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        make()
    assert str(caught.value) == message


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([10**400, -(10**400), "blur", "box", 0, 1, 0.5]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(CLASSES), st.data())
def test_any_json_gives_options_or_an_option_error(cls: type[Any], data: st.DataObject) -> None:
    names = [spec.name for spec in dataclasses.fields(cls)]
    given_ = data.draw(st.dictionaries(st.sampled_from(names) | st.text(), anything, max_size=3))
    try:
        made = opts.from_dict(cls, given_)
    except OptionError:
        return
    again = opts.from_dict(cls, json.loads(json.dumps(opts.to_dict(made))))
    assert again == made
    assert hash(again) == hash(made)


def test_options_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DetectOptions().threshold = 0.5  # type: ignore[misc]


def test_changed_lists_only_what_differs_from_the_default() -> None:
    assert opts.changed(InpaintOptions()) == {}
    assert opts.changed(InpaintOptions(seed=0, strength=None)) == {"seed": 0}


HONOURED = [
    ("nothing set", InpaintOptions(), frozenset(), None),
    ("set and obeyed", InpaintOptions(seed=1), frozenset({"seed"}), None),
    (
        "one without effect",
        InpaintOptions(seed=1, radius=3),
        frozenset({"radius", "method"}),
        "seed has no effect on telea: it draws no random numbers. It obeys method, radius.",
    ),
    (
        "two without effect, a model without settings",
        InpaintOptions(seed=1, radius=3),
        frozenset(),
        "radius, seed have no effect on telea: it draws no random numbers. It obeys no settings.",
    ),
]


@pytest.mark.parametrize(
    ("options", "honoured", "message"), [pytest.param(*row[1:], id=row[0]) for row in HONOURED]
)
def test_a_setting_without_effect_is_refused(
    options: InpaintOptions, honoured: frozenset[str], message: str | None
) -> None:
    if message is None:
        check_honoured(options, honoured, "telea", "it draws no random numbers")
        return
    with pytest.raises(OptionError) as caught:
        check_honoured(options, honoured, "telea", "it draws no random numbers")
    assert str(caught.value) == message


def test_no_two_seeds_draw_the_same() -> None:
    """torch's generator takes 32 bits of a seed: seeds 2**32 apart were one picture. The seed of
    the last picture of a batch has room too."""
    import torch

    def drawn(seed: int) -> list[float]:
        return list(torch.randn(4, generator=torch.Generator("cpu").manual_seed(seed)))

    assert drawn(1) == drawn(2**32 + 1)
    last = InpaintOptions(seed=opts.SEEDS - 1, num_images_per_prompt=opts.MOST_PICTURES)
    assert (last.seed or 0) + opts.MOST_PICTURES - 1 < 2**32
    for seed in (opts.SEEDS, 2**32 + 1, 2**63 - 65, -1):
        with pytest.raises(OptionError, match="seed must be between 0 and 4294967231, got"):
            InpaintOptions(seed=seed)
    with pytest.raises(OptionError, match="seed must be between 0 and"):
        TeachOptions(seed=2**32)

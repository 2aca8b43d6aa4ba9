"""What the flags of a run mean."""

import pytest

from tf_symconv.training import Settings, parse_kernel_size, parse_parity, parse_symmetry


@pytest.mark.parametrize(
    ("text", "size"), [("3", (3, 3)), ("3x5", (3, 5)), (" 7 x 1 ", (7, 1)), ("3,5", (3, 5)), ("11", (11, 11))]
)
def test_kernel_sizes(text, size):
    assert parse_kernel_size(text) == size


@pytest.mark.parametrize("text", ["0", "0x3", "3x0", "", "x", "3x", "-3", "3.5", "3x3x3", "99999"])
def test_what_is_no_kernel_size(text):
    with pytest.raises(ValueError, match="Received: "):
        parse_kernel_size(text)


@pytest.mark.parametrize(
    ("text", "symmetry"),
    [
        ("hv", "hv"),
        (" c4 ", "c4"),
        ("hv=50%,circular=4", {"hv": "50%", "circular": 4}),
        (" hv = 12.5 % , d4 = 3 ", {"hv": "12.5%", "d4": 3}),
        ("h=1", {"h": 1}),
    ],
)
def test_symmetries(text, symmetry):
    assert parse_symmetry(text) == symmetry


def test_a_mix_keeps_its_order():
    assert list(parse_symmetry("circular=1,hv=2,c4=3")) == ["circular", "hv", "c4"]


@pytest.mark.parametrize(
    "text", ["", ",", "hv=", "=4", "hv=4,", "hv=4,circular", "hv=4.5", "hv=-1", "hv=4,hv=5", "hv=%"]
)
def test_what_is_no_symmetry(text):
    with pytest.raises(ValueError, match="Received: "):
        parse_symmetry(text)


def test_parities():
    assert parse_parity("odd") == "odd"
    assert parse_parity("even, odd") == ("even", "odd")
    for text in ("", "-1", "even,", "none"):
        with pytest.raises(ValueError, match="Received: "):
            parse_parity(text)


def test_differences_name_the_flags_that_matter():
    stored = Settings(epochs=3, symmetry="c4").to_dict()
    assert Settings(epochs=3, symmetry="c4").differences(stored) == []
    assert Settings(epochs=4, symmetry="hv").differences(stored) == ["--symmetry (c4 there, hv here)",
                                                                    "--epochs (3 there, 4 here)"]  # fmt: skip
    del stored["seed"]
    assert Settings(epochs=3, symmetry="c4").differences(stored) == ["--seed (None there, 0 here)"]

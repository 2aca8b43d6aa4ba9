"""Hypothesis strategies: kernel maps together with kernel shapes that they fit."""

from hypothesis import strategies as st

from tf_symconv import groups, kernels

_channels = st.tuples(st.integers(1, 3), st.integers(1, 3))
_sizes = st.integers(1, 6)


def _spatial(rank):
    return st.tuples(*[_sizes] * rank)


@st.composite
def mirrors(draw):
    """A mirror of any axes and parities, with a kernel of 1 to 3 dimensions that is large enough for it."""
    rank = draw(st.integers(1, 3))
    axes = "".join(draw(st.lists(st.sampled_from("hvz"[:rank]), min_size=1, max_size=rank, unique=True)))
    parity = tuple(draw(st.sampled_from(["even", "odd"])) for _ in axes)
    spatial = tuple(draw(st.integers(2 if "odd" in parity else 1, 6)) for _ in range(rank))
    return kernels.Mirror(axes, parity), spatial + draw(_channels)


@st.composite
def rotations(draw):
    """A rotation group or the transposition, with a kernel whose plane is square where it must be."""
    structure = draw(
        st.sampled_from([*(kernels.Rotational(n, r) for n in (2, 4) for r in (False, True)), kernels.Diagonal()])
    )
    height, width, depth = draw(_spatial(3))
    if structure.group in ("c4", "d4", "diag"):
        width = height
    lead = (depth,) if draw(st.booleans()) else ()
    return structure, (*lead, height, width, *draw(_channels))


@st.composite
def circles(draw):
    """A circular map of any interpolation, with a kernel of 1 to 3 dimensions."""
    interpolation = draw(st.sampled_from(["nearest", "linear", "exact"]))
    return kernels.Circular(interpolation), draw(_spatial(draw(st.integers(1, 3)))) + draw(_channels)


@st.composite
def patterns(draw):
    """A pattern with structural zeros, and its kernel."""
    height, width = draw(_spatial(2))
    cells = draw(st.lists(st.sampled_from("ABC."), min_size=height * width, max_size=height * width))
    if set(cells) == {"."}:
        cells[0] = "A"
    rows = ["".join(cells[i * width : (i + 1) * width]) for i in range(height)]
    return kernels.Pattern(rows), (height, width, *draw(_channels))


@st.composite
def tiles(draw):
    """A tiling and a kernel of 1 to 3 dimensions that it fits."""
    rank = draw(st.integers(1, 3))
    multiples = draw(st.tuples(*[st.integers(1, 3)] * rank))
    small = draw(st.tuples(*[st.integers(1, 3)] * rank))
    return kernels.Tile(multiples), tuple(m * n for m, n in zip(multiples, small, strict=True)) + draw(_channels)


@st.composite
def mixes(draw):
    """A mix of maps that fit any square kernel, with as many filters as it needs or more."""
    size = draw(st.integers(2, 5))
    parts = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["hv", "c2", "c4", "d4", "diag", "circular", "free", kernels.Mirror("h", "odd")]),
                st.one_of(st.integers(0, 3), st.sampled_from(["0%", "12.5%", "33%"])),
            ),
            min_size=1,
            max_size=3,
        )
    )
    claimed = sum(count for _, count in parts if isinstance(count, int))
    filters = draw(st.integers(max(2 * claimed, 1), 2 * claimed + 9))
    return kernels.Mix(parts), (size, size, draw(st.integers(1, 2)), filters)


@st.composite
def group_maps(draw):
    """A lifting or regular group map, with a kernel of the channels and sizes that it needs."""
    group = groups.get(draw(st.sampled_from(groups.names(2))))
    height, width, inputs, filters = draw(st.tuples(_sizes, _sizes, st.integers(1, 2), st.integers(1, 2)))
    if not group.preserves((2, 3)):
        width = height
    lift = draw(st.booleans())
    structure = (kernels.GroupLift if lift else kernels.GroupRegular)(group.name)
    return structure, (height, width, inputs * (1 if lift else group.order), filters * group.order)


@st.composite
def spectra(draw):
    """The spectral map with a kernel of 1 or 2 dimensions."""
    return kernels.Spectral(), draw(_spatial(draw(st.integers(1, 2)))) + draw(_channels)


@st.composite
def flip_banks(draw):
    """A bank of filters in orbits, with a kernel of 1 to 3 dimensions and as many filters as it needs or more."""
    rank = draw(st.integers(1, 3))
    names = [name for name in groups.names(rank) if set(name) <= set("hvz")]
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    counts = {name: draw(st.integers(0, 2)) * 2 ** len(name) for name in chosen}
    filters = max(sum(counts.values()), 1) + draw(st.integers(0, 3))
    if draw(st.booleans()):
        counts[chosen[0]] = f"{100 * counts[chosen[0]] / filters:.3f}%"
    spatial = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    return kernels.FlipBank(counts), (*spatial, draw(st.integers(1, 2)), filters)


def maps_and_shapes():
    """Any kernel map of the library with a kernel shape that it fits."""
    return st.one_of(
        mirrors(), rotations(), circles(), patterns(), tiles(), mixes(), flip_banks(), group_maps(), spectra()
    )

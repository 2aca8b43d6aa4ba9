"""What the TF1 functions promise beyond the golden arrays."""

import inspect

import numpy as np
import pytest
import tensorflow as tf

from tests.oracles import convolve
from tf_symconv import compat_v1

v1 = tf.compat.v1
rng = np.random.default_rng(5)


def run(tensors, feed=None):
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        return session.run(tensors, feed)


@pytest.fixture
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def act(array, element, axes):
    """Turn an image by GrouPy's element: rotations counter-clockwise, then those followed by an up-down flip."""
    turned = np.rot90(array, element % 4, axes)
    return np.flip(turned, axes[0]) if element >= 4 else turned


@pytest.mark.parametrize("height", [1, 2, 4, 5])
def test_symmetric_kernels_mirror_their_rows(graph, height):
    kernel, rows = run([compat_v1.SymmetricKernels(height, 3, 2, 4), v1.global_variables()[0]])
    assert kernel.shape == (height, 3, 2, 4)
    assert rows.shape[0] == -(-height // 2)
    np.testing.assert_array_equal(kernel, kernel[::-1])
    assert np.std(kernel) > 0.5


def test_symmetric_kernels_do_not_share(graph):
    compat_v1.SymmetricKernels(3, 3, 1, 1, name="k")
    compat_v1.SymmetricKernels(3, 3, 1, 1, name="k")
    assert [variable.name for variable in v1.global_variables()] == ["Variable:0", "Variable_1:0"]
    with pytest.raises(ValueError, match=r"width is a positive integer\. Received: width=0"):
        compat_v1.SymmetricKernels(3, 0, 1, 1)


REDUCTIONS = {"max": np.max, "min": np.min, "sum": np.sum, "mean": np.mean}


@pytest.mark.parametrize("pairwise", [False, True])
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_symmetric_convolution_reduces_both_convolutions(graph, reduce, pairwise):
    x = rng.normal(size=(2, 6, 7, 3)).astype("float32")
    y = compat_v1.symmetric_convolution(tf.constant(x), 4, (3, 2), "k", reduce=reduce, pairwise=pairwise)
    y, kernel = run([y, v1.global_variables()[0]])
    both = np.stack([convolve(x, kernel, padding="same"), convolve(x, kernel[:, ::-1], padding="same")])
    expected = REDUCTIONS[reduce](both, axis=0) if pairwise else REDUCTIONS[reduce](both, axis=(0, -1))[..., None]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_symmetric_convolution_refuses_what_it_does_not_know(graph):
    x = tf.zeros([1, 4, 4, 1])
    with pytest.raises(ValueError, match=r"reduce is one of 'max'.*Received: reduce='median'"):
        compat_v1.symmetric_convolution(x, 1, (3, 3), "k", reduce="median")
    with pytest.raises(ValueError, match="channels of the input are known"):
        compat_v1.symmetric_convolution(v1.placeholder(tf.float32, [1, 4, 4, None]), 1, (3, 3), "k")


@pytest.mark.parametrize("ksize", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize(("h_input", "h_output"), [("Z2", "C4"), ("C4", "C4"), ("Z2", "D4"), ("D4", "D4")])
def test_group_convolutions_are_equivariant(graph, h_input, h_output, ksize):
    indices, info, shape = compat_v1.gconv2d_util(h_input, h_output, 2, 3, ksize)
    nto, nti = info.out_transformations, info.in_transformations
    x, w = rng.normal(size=(1, 8, 8, 2 * nti)), rng.normal(size=shape)
    images = v1.placeholder(tf.float64, [None, 8, 8, 2 * nti])
    y = compat_v1.gconv2d(images, tf.constant(w), [1, 1, 1, 1], "VALID", indices, info)

    def transform(maps, element, elements):
        """Turn each map and let the copy under t take the place of the copy under element * t."""
        n, height, width, channels = maps.shape
        maps = act(maps, element, (1, 2)).reshape(n, height, width, channels // elements, elements)
        if elements == 1:
            return maps.reshape(n, height, width, channels)
        cells = np.arange(25).reshape(5, 5)
        moved = np.empty_like(maps)
        for t in range(elements):
            product = act(act(cells, t, (0, 1)), element, (0, 1))
            target = [u for u in range(elements) if np.array_equal(act(cells, u, (0, 1)), product)]
            moved[..., target[0]] = maps[..., t]
        return moved.reshape(n, height, width, channels)

    with v1.Session() as session:
        plain = session.run(y, {images: x})
        assert np.std(plain) > 0.1
        for element in range(nto):
            turned = session.run(y, {images: transform(x, element, nti)})
            np.testing.assert_allclose(turned, transform(plain, element, nto), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("ksize", [0, -1, 2.5, None])
def test_sizes_of_filters_are_checked(ksize):
    with pytest.raises(ValueError, match=r"kernel size is a positive integer\. Received: ksize="):
        compat_v1.gconv2d_util("Z2", "D4", 1, 1, ksize)


def test_bad_group_convolutions_are_refused(graph):
    with pytest.raises(ValueError, match=r"one of Z2-C4, C4-C4, Z2-D4, D4-D4\. Received: h_input='C4', h_output='D4'"):
        compat_v1.gconv2d_util("C4", "D4", 1, 1, 3)
    indices, info, shape = compat_v1.gconv2d_util("Z2", "C4", 1, 1, 3)
    with pytest.raises(ValueError, match=r"NHWC only\. Received: data_format='NCHW'"):
        compat_v1.gconv2d(tf.zeros([1, 1, 5, 5]), tf.zeros(shape), [1] * 4, "SAME", indices, info, data_format="NCHW")


def test_the_bias_is_shared_by_the_copies(graph):
    x, bias = rng.normal(size=(2, 3, 3, 8)), np.array([1.0, 10.0])
    y = run(compat_v1.gconv2d_addbias(tf.constant(x), tf.constant(bias), nti=4))
    np.testing.assert_allclose(y - x, np.broadcast_to([1.0] * 4 + [10.0] * 4, x.shape), rtol=1e-12)
    assert inspect.signature(compat_v1.gconv2d_addbias).parameters["nti"].default == 8
    with pytest.raises(ValueError, match=r"nti channels per bias.*nti=8"):
        compat_v1.gconv2d_addbias(tf.constant(x), tf.constant(bias))


@pytest.mark.parametrize(("h_input", "h_output"), [("Z2", "C4"), ("D4", "D4")])
def test_filters_stored_channel_first_get_the_same_copies(graph, h_input, h_output):
    indices, info, (n, _, inputs, no) = compat_v1.gconv2d_util(h_input, h_output, 2, 3, 3)
    _, nto, ni, nti, _ = info
    planes = rng.normal(size=(no, ni, nti, n, n))
    first = tf.constant(planes.reshape(no, inputs, n, n))
    # The filter with the planes last reads its (n, n, ni * nti) cells as (n, n, nti, ni).
    last = tf.constant(planes.transpose(3, 4, 2, 1, 0).reshape(n, n, inputs, no))
    make = compat_v1.make_c4_z2_indices if h_input == "Z2" else compat_v1.make_d4_p4m_indices
    fixed = compat_v1.flatten_indices(make(3), data_format="NCHW")
    nhwc, nchw, quirk = run(
        [
            compat_v1.transform_filter_2d_nhwc(last, indices, info),
            compat_v1.transform_filter_2d_nchw(first, fixed, info),
            compat_v1.transform_filter_2d_nchw(first, indices, info),
        ]
    )
    assert nchw.shape == (no * nto, ni * nti, n, n)
    np.testing.assert_array_equal(nhwc.transpose(3, 2, 0, 1), nchw)
    # The original indices mix planes and cells as soon as there is more than one plane.
    assert np.array_equal(quirk, nchw) == (nti == 1)


@pytest.mark.parametrize("shape", [(4, 4, 9, 9), (3, 5, 8, 9), (4, 3, 7, 8), (5, 4, 5, 4), (4, 4, 4, 4), (2, 2, 5, 6)])
def test_spectral_layers_at_any_size(graph, shape):
    height, width, rows, columns = shape
    filters = rng.normal(size=(2, 3, height, width))
    initial = {"a": np.fft.fft2(filters), "b": np.fft.fft2(filters)}
    x = rng.normal(size=(2, rows, columns, 2)).astype("float32")
    a, kernel, _ = compat_v1.fft_conv(tf.constant(x), 3, width, height, 2, None, "a", initial)
    b, complex_kernel, _ = compat_v1.fft_conv_pure(tf.constant(x), 3, width, height, 2, None, "b", initial)
    c, _, _ = compat_v1.fft_conv_pure(tf.constant(x), 3, width, height, 2, None, "b", initial, subsample=True)
    a, kernel, b, complex_kernel, c = run([a, kernel, b, complex_kernel, c])
    np.testing.assert_allclose(kernel, filters.transpose(2, 3, 0, 1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(complex_kernel, kernel, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(a, convolve(x, kernel, 2, "same") + 0.1, rtol=1e-4, atol=1e-4)
    # The original's words: shift, pad with zeros, shift back, multiply, inverse, real part.
    padded = np.zeros((2, 3, rows, columns), complex)
    spectrum = np.fft.fft2(filters)
    for row in range(-(height // 2), (height + 1) // 2):
        for column in range(-(width // 2), (width + 1) // 2):
            padded[:, :, row, column] = spectrum[:, :, row, column]
    product = np.einsum("nhwc,cfhw->nfhw", np.fft.fft2(x, axes=(1, 2)), padded.conj())
    expected = np.fft.ifft2(product).real.transpose(0, 2, 3, 1) + 0.1
    np.testing.assert_allclose(b, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(c, expected[:, ::2, ::2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (4, 3), (1, 1), (1, 6), (2, 2)])
def test_a_spectrum_has_one_free_number_per_cell_and_steps_stay_real(graph, shape):
    filters = rng.normal(size=(2, 3, *shape))
    spectrum = compat_v1.spectral_to_variable(np.fft.fft2(filters))
    (variable,) = v1.trainable_variables()
    assert tuple(variable.shape) == filters.shape
    target = rng.normal(size=filters.shape) + 1j * rng.normal(size=filters.shape)
    loss = tf.reduce_sum(tf.square(tf.abs(spectrum - target)))
    step = v1.train.GradientDescentOptimizer(0.1).minimize(loss)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        np.testing.assert_allclose(session.run(spectrum), np.fft.fft2(filters), atol=1e-12)
        session.run(step)
        after = session.run(spectrum)
    assert np.abs(after - np.fft.fft2(filters)).max() > 0.01
    np.testing.assert_allclose(np.fft.ifft2(after).imag, 0, atol=1e-12)
    assert compat_v1.is_valid_spectral(after) is True


def test_an_invalid_spectrum_is_false_and_says_where():
    spectrum = np.fft.fft2(rng.normal(size=(2, 3, 4, 5)))
    spectrum[1, 0, 2, 3] += 0.5j
    found = compat_v1.is_valid_spectral(spectrum)
    assert not found
    # The first of the two partners in row order, with the place as (column, row).
    assert found == (False, pytest.approx(0.5), 2, 2)


@pytest.mark.parametrize("shape", [(2, 4, 6), (3, 5), (1, 2, 3, 4)])
def test_shifts_are_those_of_numpy(graph, shape):
    array = rng.normal(size=shape)
    there = compat_v1.batch_fftshift2d(tf.constant(array))
    np.testing.assert_array_equal(run(there), np.fft.fftshift(array, (-2, -1)))
    np.testing.assert_array_equal(run(compat_v1.batch_ifftshift2d(there)), array)


def test_random_spectra_are_those_of_small_real_filters(graph):
    v1.set_random_seed(1)
    in_graph = compat_v1.random_spatial_to_spectral(2, 3, 16, 15)
    with v1.Session() as session:
        in_session = compat_v1.random_spatial_to_spectral(2, 3, 16, 15, session=session)
    with tf.init_scope():
        eager = compat_v1.random_spatial_to_spectral(2, 3, 16, 15)
    for spectra in (in_graph, in_session, eager):
        assert spectra.shape == (2, 3, 16, 15)
        assert spectra.dtype == np.complex64
        assert compat_v1.is_valid_spectral(spectra, tolerance=1e-6)
        filters = np.fft.ifft2(spectra).real
        # A normal distribution of deviation 0.01 cut at two deviations has the deviation 0.0088.
        assert 0.008 < filters.std() < 0.0096
        assert np.abs(filters).max() < 0.0201
    assert np.abs(in_graph - eager).max() > 0.01


def test_bad_spectral_layers_are_refused(graph):
    x = tf.zeros([1, 4, 4, 1])
    with pytest.raises(ValueError, match=r"no larger than the input\. Received: height=5, width=3"):
        compat_v1.fft_conv_pure(x, 1, 3, 5, 1)
    with pytest.raises(ValueError, match="height of the input must be known"):
        compat_v1.fft_conv_pure(v1.placeholder(tf.float32, [1, None, 4, 1]), 1, 3, 3, 1)
    with pytest.raises(ValueError, match=r"\(1, 1, 3, 3\) for 'c'. Received: shape=\(1, 1, 3, 4\)"):
        compat_v1.fft_conv(x, 1, 3, 3, 1, name="c", initialization={"c": np.zeros((1, 1, 3, 4))})


def test_the_twin_flip_has_the_signature_of_the_original():
    parameters = list(inspect.signature(compat_v1.symmetric_convolution).parameters.values())[:5]
    assert [p.name for p in parameters] == ["input_tensor", "n_filters", "size", "name", "dilations"]
    assert parameters[4].default == [1, 1, 1, 1]

use super::*;
use crate::Shape;

/// Sizes that PyTorch 2 gives for `Conv2d` and `MaxPool2d` of the same parameters.
/// The error of a number above what it may be.
fn too_large(found: usize, limit: usize) -> ParamsError {
    ParamsError::TooLarge { found, limit }
}

#[test]
fn output_sizes() {
    let size = |window: Window, extent, rounding| {
        let size = window.output_size(extent, extent, rounding);
        size.map(|(height, _)| height)
    };
    let padded = |kernel, padding| {
        Window::new(kernel, kernel).with_padding(Padding::symmetric(padding, padding))
    };
    let floor = Rounding::Floor;
    assert_eq!(size(Window::new(3, 3), 130, floor), Ok(128));
    assert_eq!(size(padded(5, 2), 32, floor), Ok(32));
    assert_eq!(
        size(Window::new(4, 4).with_stride(4, 4), 128, floor),
        Ok(32)
    );
    assert_eq!(size(Window::new(2, 2).with_stride(2, 2), 7, floor), Ok(3));
    assert_eq!(size(padded(3, 1).with_stride(2, 2), 28, floor), Ok(14));
    assert_eq!(
        size(Window::new(3, 3).with_dilation(2, 2), 10, floor),
        Ok(6)
    );
    // A last window hangs over the end, but not if it would start in the trailing padding.
    let ceil = Rounding::Ceil;
    assert_eq!(size(Window::new(2, 2).with_stride(2, 2), 7, ceil), Ok(4));
    assert_eq!(size(Window::new(2, 2).with_stride(3, 3), 7, ceil), Ok(3));
    assert_eq!(size(padded(2, 1).with_stride(2, 2), 4, ceil), Ok(3));
    assert_eq!(size(padded(2, 1).with_stride(3, 3), 5, ceil), Ok(2));
}

#[test]
fn axes_are_their_own() -> Result<(), ParamsError> {
    let window = Window::new(3, 1).with_stride(1, 2).with_padding(Padding {
        top: 2,
        bottom: 0,
        left: 0,
        right: 1,
    });
    let input = Shape::new(5, 8, 4);
    let params = Conv2d::new(input, 6, window, 2, Activation::Identity)?;
    assert_eq!(params.output(), Shape::new(5, 5, 6));
    assert_eq!((params.taps(), params.weights_len()), (6, 36));
    assert_eq!(params.macs(), 5 * 5 * 6 * 6);
    Ok(())
}

#[test]
fn what_no_kernel_could_compute_is_refused() {
    let conv = |shape, out_channels, window, groups| {
        Conv2d::new(shape, out_channels, window, groups, Activation::Identity).map(|_| ())
    };
    let shape = Shape::new(4, 4, 6);
    let window = Window::new(3, 3);
    assert_eq!(conv(shape, 4, window, 1), Ok(()));
    assert_eq!(conv(shape, 0, window, 1), Err(ParamsError::Zero));
    assert_eq!(
        conv(shape, 4, window.with_stride(0, 1), 1),
        Err(ParamsError::Zero)
    );
    assert_eq!(
        conv(shape, 4, window.with_dilation(1, 0), 1),
        Err(ParamsError::Zero)
    );
    assert_eq!(
        conv(Shape::new(0, 4, 6), 4, window, 1),
        Err(ParamsError::Zero)
    );
    assert_eq!(
        conv(shape, MAX_EXTENT + 1, window, 1),
        Err(too_large(MAX_EXTENT + 1, MAX_EXTENT))
    );
    assert_eq!(
        too_large(40_000, MAX_EXTENT).to_string(),
        "40000 is above the limit of 32768"
    );
    assert_eq!(
        conv(shape, 4, Window::new(5, 3), 1),
        Err(ParamsError::WindowTooLarge { span: 5, padded: 4 })
    );
    assert_eq!(
        conv(shape, 4, window, 3),
        Err(ParamsError::Groups {
            groups: 3,
            in_channels: 6,
            out_channels: 4
        })
    );
    let half = Window::new(3, 3).with_padding(Padding::symmetric(2, 1));
    let pool = Pool2d::new(shape, half, Rounding::Floor, CountPadding::Include);
    assert_eq!(pool.map(|_| ()), Err(ParamsError::PoolPadding));
    let linear = Linear::new(Linear::MAX_FEATURES + 1, 1, Activation::Identity);
    const MOST: usize = Linear::MAX_FEATURES;
    assert_eq!(linear.map(|_| ()), Err(too_large(MOST + 1, MOST)));
}

#[test]
fn only_pools_of_disjoint_windows_join_a_convolution() -> Result<(), ParamsError> {
    let conv = Conv2d::new(
        Shape::new(7, 9, 2),
        4,
        Window::new(1, 1),
        1,
        Activation::Relu,
    )?;
    let pooled = |window, rounding| PooledConv2d::new(conv, window, rounding);
    let two = Window::new(2, 2).with_stride(2, 2);
    assert_eq!(pooled(two, Rounding::Floor)?.output(), Shape::new(3, 4, 4));
    let ceil = pooled(two, Rounding::Ceil)?;
    assert_eq!(ceil.output(), Shape::new(4, 5, 4));
    assert_eq!((ceil.rows(3), ceil.columns(1)), (6..7, 2..4));
    assert!(pooled(two.with_stride(3, 2), Rounding::Floor).is_ok());
    for window in [
        Window::new(2, 2),
        Window::new(2, 3).with_stride(2, 2),
        two.with_dilation(1, 2),
        two.with_padding(Padding::symmetric(1, 0)),
    ] {
        let refused = pooled(window, Rounding::Floor).map(|_| ());
        assert_eq!(refused, Err(ParamsError::NotFusible), "{window:?}");
    }
    let refused = pooled(Window::new(8, 2).with_stride(8, 2), Rounding::Floor).map(|_| ());
    let expected = Err(ParamsError::WindowTooLarge { span: 8, padded: 7 });
    assert_eq!(refused, expected);
    Ok(())
}

#[test]
fn clamp_keeps_nan_and_signed_zero() {
    assert!(clamp(f32::NAN, 0.0, 6.0).is_nan());
    assert_eq!(clamp(-0.0, 0.0, 6.0).to_bits(), (-0.0f32).to_bits());
    assert_eq!(clamp(-1.0, 0.0, 6.0).to_bits(), 0.0f32.to_bits());
    assert_eq!(clamp(7.0, 0.0, 6.0), 6.0);
}

#[test]
fn operands_are_spread_over_axes_of_one() -> Result<(), ParamsError> {
    let shape = Shape::new(3, 4, 5);
    let runs = |operand| {
        let params = Binary::new(BinaryFunction::Add, Activation::Identity, shape, operand)?;
        let mut starts = Vec::new();
        let nest = params.nest();
        nest.for_each_run((0, 0), |from, to| starts.push((from, to)));
        Ok::<_, ParamsError>((starts, nest.run.extent, nest.run.from))
    };
    // What agrees in its order is one run; so is what is the same everywhere.
    assert_eq!(runs(shape)?, (vec![(0, 0)], 60, 1));
    assert_eq!(runs(Shape::vector(1))?, (vec![(0, 0)], 60, 0));
    let (starts, extent, step) = runs(Shape::vector(5))?;
    assert_eq!((starts.len(), extent, step), (12, 5, 1));
    assert!(starts.iter().all(|(from, to)| *from == 0 && to % 5 == 0));
    let rows = runs(Shape::new(3, 1, 1))?;
    assert_eq!(rows, (vec![(0, 0), (1, 20), (2, 40)], 20, 0));
    let row = runs(Shape::new(1, 4, 5))?;
    assert_eq!(row, (vec![(0, 0), (0, 20), (0, 40)], 20, 1));
    let (starts, extent, step) = runs(Shape::new(3, 1, 5))?;
    assert_eq!((extent, step), (5, 1));
    assert_eq!(starts[3..6], [(0, 15), (5, 20), (5, 25)]);
    for operand in [Shape::new(2, 4, 5), Shape::new(3, 4, 6), Shape::vector(4)] {
        let refused = runs(operand).map(|_| ());
        assert_eq!(refused, Err(ParamsError::Broadcast { operand, shape }));
    }
    assert_eq!(runs(Shape::vector(0)).map(|_| ()), Err(ParamsError::Zero));
    Ok(())
}

#[test]
fn copies_reach_no_further_than_their_tensors() {
    let shape = Shape::new(3, 4, 5);
    let place = |position, output| StridedCopy::place(shape, position, output).map(|_| ());
    assert_eq!(place([0; 3], shape), Ok(()));
    assert_eq!(place([1, 2, 3], Shape::new(4, 6, 8)), Ok(()));
    let beyond = Err(ParamsError::OutOfRange);
    assert_eq!(place([2, 2, 3], Shape::new(4, 6, 8)), beyond);
    assert_eq!(place([usize::MAX, 0, 0], shape), beyond);
    let slice = |start, step, output| StridedCopy::slice(shape, start, step, output).map(|_| ());
    assert_eq!(slice([1, 0, 1], [1, 3, 2], Shape::new(2, 2, 2)), Ok(()));
    assert_eq!(slice([1, 1, 1], [1, 3, 2], Shape::new(2, 2, 2)), beyond);
    assert_eq!(
        slice([0; 3], [usize::MAX, 1, 1], Shape::new(2, 1, 1)),
        beyond
    );
    let zero = Err(ParamsError::Zero);
    assert_eq!(slice([0; 3], [0, 1, 1], Shape::vector(1)), zero);
    assert_eq!(slice([0; 3], [1; 3], Shape::vector(0)), zero);
    let twice = StridedCopy::transpose(shape, [Axis::Width, Axis::Height, Axis::Width]);
    assert_eq!(twice.map(|_| ()), Err(ParamsError::Order));
}

#[test]
fn joined_tensors_agree_along_the_other_axes() -> Result<(), ParamsError> {
    let (a, b) = (Shape::new(3, 4, 5), Shape::new(3, 2, 5));
    let along = |axis, inputs: &[Shape]| Concat::new(axis, inputs).map(|concat| concat.output());
    assert_eq!(along(Axis::Width, &[a, b, a])?, Shape::new(3, 10, 5));
    assert_eq!(along(Axis::Channels, &[a, a])?, Shape::new(3, 4, 10));
    assert_eq!(along(Axis::Height, &[b])?, b);
    assert_eq!(along(Axis::Height, &[a, b]), Err(ParamsError::Concat));
    assert_eq!(along(Axis::Height, &[]), Err(ParamsError::Zero));
    assert_eq!(along(Axis::Height, &[a; 5]), Err(too_large(5, 4)));
    let empty = Shape::new(0, 4, 5);
    assert_eq!(along(Axis::Height, &[a, empty]), Err(ParamsError::Zero));
    Ok(())
}

#[test]
fn only_functions_whose_output_tells_the_derivative_have_a_way_back() {
    assert!(Unary::LeakyRelu { slope: 0.0 }.has_backward());
    assert!(!Unary::LeakyRelu { slope: -0.1 }.has_backward());
    assert!(!Unary::LeakyRelu { slope: f32::NAN }.has_backward());
    assert!(Unary::Tanh.has_backward() && !Unary::HardSwish.has_backward());
    assert!(Unary::Elu { alpha: 0.0 }.has_backward());
    assert!(!Unary::Elu { alpha: -0.1 }.has_backward());
    let selu = |alpha, gamma| Unary::Selu { alpha, gamma };
    assert!(selu(1.0, 2.0).has_backward() && !selu(1.0, 0.0).has_backward());
    assert!(!selu(-1.0, 2.0).has_backward());
    assert!(!Unary::Swish { alpha: 1.0 }.has_backward() && !Unary::Gelu.has_backward());
}

/// An index is a product of extents: on a machine of 32 bits none of them may overflow.
#[test]
fn samples_of_more_elements_than_32_bits_can_point_at_are_refused() {
    let large = Shape::new(1 << 15, 1 << 15, 1 << 15);
    let window = Window::new(1, 1).with_stride(1 << 15, 1 << 15);
    let found = large.len();
    let refused = Err(ParamsError::Elements { found });
    let conv = Conv2d::new(large, 1, window, 1, Activation::Identity);
    assert_eq!(conv.map(|_| ()), refused);
    let pool = Pool2d::new(large, window, Rounding::Floor, CountPadding::Include);
    assert_eq!(pool.map(|_| ()), refused);
    // Small, but not with its padding.
    let around = Padding::symmetric(1 << 14, 1 << 14);
    let padded = Window::new(1, 1)
        .with_stride(1 << 14, 1 << 14)
        .with_padding(around);
    let conv = Conv2d::new(Shape::new(1, 1, 8), 1, padded, 1, Activation::Identity);
    assert!(
        matches!(conv, Err(ParamsError::Elements { .. })),
        "{conv:?}"
    );
}

/// Steps that are never taken are no reason to refuse.
#[test]
fn a_stride_may_be_longer_than_the_input() {
    let window = Window::new(1, 1)
        .with_stride(1 << 15, 1 << 15)
        .with_dilation(1 << 15, 1 << 15);
    let conv = Conv2d::new(
        Shape::new(3, 3, 1 << 15),
        2,
        window,
        1,
        Activation::Identity,
    );
    assert_eq!(conv.map(|conv| conv.output()), Ok(Shape::new(1, 1, 2)));
}

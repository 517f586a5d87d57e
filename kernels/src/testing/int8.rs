//! Operations on 8-bit numbers: every set gives the oracle's, whatever [`Agreement`](super::Agreement) its sums of `f32`
//! have.

use core::fmt::Debug;

use super::{Aligned, Guarded, Random, binary, call_wrongly, conv2d, linear, pool2d, strided_copy};
use crate::ops::BackwardKernels;
use crate::params::{
    Activation, AddI8, AvgPool2dI8, Binary, BinaryFunction, BinaryI8, Conv2dI8, LinearI8,
    RequantizeI8, RowOrder, SoftmaxI8, StridedCopy, TableI8, WeightsI8, fits_pairs, write_pairs,
};
use crate::quant::{Quantization, Requantize};
use crate::{Shape, reference};

type About<'a> = (&'a dyn Debug, &'a str);

impl Random {
    /// Any 8-bit number, the outermost more often than others.
    fn number(&mut self) -> i8 {
        match self.below(8) {
            0 => self.choose(&[i8::MIN, i8::MAX]),
            _ => self.below(256) as u8 as i8,
        }
    }

    /// `len` 8-bit numbers.
    fn numbers(&mut self, len: usize) -> Vec<i8> {
        (0..len).map(|_| self.number()).collect()
    }

    /// A scale of 0.001 to 0.3 or so, now and then a power of two, which makes ties.
    fn quantization(&mut self) -> Quantization {
        let scale = match self.below(3) {
            0 => self.choose(&[0.25, 0.125, 0.0625]),
            _ => 0.001 + 0.3 * self.value().abs(),
        };
        Quantization::new(scale, self.number())
    }

    fn bounds(&mut self) -> (i8, i8) {
        match self.below(2) {
            0 => (i8::MIN, i8::MAX),
            _ => {
                let (a, b) = (self.number(), self.number());
                (a.min(b), a.max(b))
            }
        }
    }

    fn requantize(&mut self) -> Requantize {
        let (low, high) = self.bounds();
        Requantize::new(self.number(), low, high).expect("in order")
    }
}

/// The parameters of a layer.
#[derive(Clone)]
struct Layer {
    weights: Vec<i8>,
    order: RowOrder,
    bias: Option<Vec<i32>>,
    scale: Vec<f32>,
}

impl Layer {
    /// `channels` sums of `terms` products, scaled so that most are within the range.
    fn new(random: &mut Random, (weights, terms, channels): (usize, usize, usize)) -> Self {
        let typical = 100.0 * 70.0 * (terms as f32).sqrt();
        let mut bias = || (random.value() * typical) as i32;
        let bias = (0..channels).map(|_| bias()).collect();
        Self {
            weights: random.numbers(weights),
            order: RowOrder::Rows,
            bias: (random.below(3) > 0).then_some(bias),
            scale: (0..channels)
                .map(|_| match random.below(4) {
                    // Halves are frequent.
                    0 => 1.0 / (typical / 64.0).log2().exp2().round(),
                    _ => (0.1 + random.value().abs()) * 128.0 / typical,
                })
                .collect(),
        }
    }

    /// The same with weights in pairs of rows, and none of -128; if sums of these fit into halves of a word.
    fn in_pairs(&self, row_len: usize, zero_point: i8) -> Option<Self> {
        let weights: Vec<i8> = self
            .weights
            .iter()
            .map(|weight| (-127).max(*weight))
            .collect();
        fits_pairs(&weights, row_len, self.bias.as_deref(), zero_point).then(|| {
            let len = RowOrder::Pairs.len(weights.len() / row_len, row_len);
            let mut pairs = vec![85; len];
            write_pairs(&weights, row_len, &mut pairs);
            Self {
                weights: pairs,
                order: RowOrder::Pairs,
                ..self.clone()
            }
        })
    }

    fn get(&self) -> WeightsI8<'_> {
        WeightsI8 {
            weights: &self.weights,
            order: self.order,
            bias: self.bias.as_deref(),
            scale: &self.scale,
        }
    }
}

/// A layer as `set` wants it: its weights packed, and scratch.
struct Prepared<'a> {
    layer: &'a Layer,
    packed: Option<Aligned<i8>>,
    scratch: usize,
}

impl<'a> Prepared<'a> {
    fn conv2d(set: &dyn BackwardKernels, params: &Conv2dI8, layer: &'a Layer) -> Self {
        let (len, scratch) = (
            set.conv2d_i8_packed_len(params),
            set.conv2d_i8_scratch_len(params),
        );
        Self::new(layer, len, scratch, |weights, packed| {
            set.conv2d_i8_pack(params, weights, packed);
        })
    }

    fn linear(set: &dyn BackwardKernels, params: &LinearI8, layer: &'a Layer) -> Self {
        let (len, scratch) = (
            set.linear_i8_packed_len(params),
            set.linear_i8_scratch_len(params),
        );
        Self::new(layer, len, scratch, |weights, packed| {
            set.linear_i8_pack(params, weights, packed);
        })
    }

    fn new(
        layer: &'a Layer,
        len: usize,
        scratch: usize,
        pack: impl FnOnce((&[i8], RowOrder), &mut [i8]),
    ) -> Self {
        let packed = (len > 0).then(|| {
            let mut packed = Aligned::new(len, 85);
            pack((&layer.weights, layer.order), packed.get_mut());
            packed
        });
        Self {
            layer,
            packed,
            scratch,
        }
    }

    fn weights(&self) -> WeightsI8<'_> {
        let packed = self.packed.as_ref().map(Aligned::get);
        WeightsI8 {
            weights: packed.unwrap_or(&self.layer.weights),
            ..self.layer.get()
        }
    }

    fn scratch(&self) -> Aligned<u8> {
        Aligned::new(self.scratch, 170)
    }
}

fn assert_equal(about: About, found: &[i8], expected: &[i8]) {
    let (problem, what) = about;
    assert_eq!(found.len(), expected.len(), "{what} of {problem:?}: length");
    let differs = found.iter().zip(expected).position(|(x, y)| x != y);
    if let Some(i) = differs {
        let (found, expected) = (found[i], expected[i]);
        panic!("{what} of {problem:?}: element {i} is {found} instead of {expected}");
    }
}

/// Checks that `kernel` writes what `oracle` does, all of it and nothing around it, and the same for each sample alone.
/// Both take `from` numbers of each sample and give `to`.
fn check(
    about: About,
    (from, to): (usize, usize),
    input: &[i8],
    kernel: impl Fn(&[i8], &mut [i8]),
    oracle: impl Fn(&[i8], &mut [i8]),
) {
    let run = |input: &[i8]| {
        let mut output = Guarded::garbage(input.len() / from * to);
        kernel(input, output.get());
        output.finish(about)
    };
    let found = run(input);
    let mut expected = vec![0; found.len()];
    oracle(input, &mut expected);
    assert_equal(about, &found, &expected);
    for (sample, expected) in input.chunks(from).zip(expected.chunks(to)) {
        assert_equal(about, &run(sample), expected);
    }
}

/// Checks convolutions of 8-bit numbers.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn conv2d_i8(set: &dyn BackwardKernels, _: super::Agreement) {
    let (mut random, mut in_pairs) = (Random::new(51), 0);
    for (geometry, batch) in conv2d::geometries() {
        let (from, to) = (geometry.input(), geometry.output());
        let params = Conv2dI8::new(geometry, random.number(), random.requantize());
        let params = params.expect("few taps");
        let sizes = (geometry.weights_len(), geometry.taps(), to.channels);
        let layer = Layer::new(&mut random, sizes);
        let input = random.numbers(batch * from.len());
        let pairs = layer.in_pairs(geometry.taps(), params.input_zero_point());
        in_pairs += usize::from(pairs.is_some());
        for layer in [Some(layer), pairs].into_iter().flatten() {
            let prepared = Prepared::conv2d(set, &params, &layer);
            check(
                (&(params, batch, layer.order), "conv2d_i8"),
                (from.len(), to.len()),
                &input,
                |x, y| {
                    let mut scratch = prepared.scratch();
                    set.conv2d_i8(&params, x, prepared.weights(), scratch.get_mut(), y);
                },
                |x, y| reference::conv2d_i8(&params, x, layer.get(), y),
            );
        }
    }
    assert!(in_pairs > conv2d::geometries().len() / 2, "{in_pairs}");
    let (geometry, _) = conv2d::geometries()[40];
    let params = Conv2dI8::new(geometry, 1, Requantize::whole(0)).expect("few taps");
    let sizes = (geometry.weights_len(), 1, geometry.output().channels);
    let layer = Layer::new(&mut random, sizes);
    let prepared = Prepared::conv2d(set, &params, &layer);
    let lengths = (geometry.input().len(), geometry.output().len());
    let kernel = |x: &[i8], w: WeightsI8<'_>, s: &mut [u8], y: &mut [i8]| {
        set.conv2d_i8(&params, x, w, s, y);
    };
    check_short_slices((&params, "conv2d_i8"), lengths, &prepared, kernel);
    let layer = layer.in_pairs(geometry.taps(), 1).expect("few taps");
    let prepared = Prepared::conv2d(set, &params, &layer);
    check_short_slices((&params, "conv2d_i8"), lengths, &prepared, kernel);
}

/// Checks linear layers of 8-bit numbers.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn linear_i8(set: &dyn BackwardKernels, _: super::Agreement) {
    let (mut random, mut in_pairs) = (Random::new(52), 0);
    for (geometry, batch) in linear::geometries() {
        let (from, to) = (geometry.in_features(), geometry.out_features());
        let params = LinearI8::new(geometry, random.number(), random.requantize());
        let params = params.expect("few features");
        let layer = Layer::new(&mut random, (geometry.weights_len(), from, to));
        let input = random.numbers(batch * from);
        let pairs = layer.in_pairs(from, params.input_zero_point());
        in_pairs += usize::from(pairs.is_some());
        for layer in [Some(layer), pairs].into_iter().flatten() {
            let prepared = Prepared::linear(set, &params, &layer);
            check(
                (&(params, batch, layer.order), "linear_i8"),
                (from, to),
                &input,
                |x, y| {
                    let mut scratch = prepared.scratch();
                    set.linear_i8(&params, x, prepared.weights(), scratch.get_mut(), y);
                },
                |x, y| reference::linear_i8(&params, x, layer.get(), y),
            );
        }
    }
    assert!(in_pairs > linear::geometries().len() / 2, "{in_pairs}");
    let (geometry, _) = linear::geometries()[40];
    let (from, to) = (geometry.in_features(), geometry.out_features());
    let params = LinearI8::new(geometry, 1, Requantize::whole(0)).expect("few features");
    let layer = Layer::new(&mut random, (geometry.weights_len(), from, to));
    let prepared = Prepared::linear(set, &params, &layer);
    let about: About = (&params, "linear_i8");
    let kernel = |x: &[i8], w: WeightsI8<'_>, s: &mut [u8], y: &mut [i8]| {
        set.linear_i8(&params, x, w, s, y);
    };
    check_short_slices(about, (from, to), &prepared, kernel);
    let layer = layer.in_pairs(from, 1).expect("few features");
    let prepared = Prepared::linear(set, &params, &layer);
    check_short_slices(about, (from, to), &prepared, kernel);
    the_largest_sums_fit(set);
}

/// As many terms as there may be, all of the largest size and one sign.
fn the_largest_sums_fit(set: &dyn BackwardKernels) {
    let most = i32::MAX as usize / (255 * 128);
    let geometry = crate::Linear::new(most, 1, Default::default()).expect("two features");
    for (input, zero_point, weight) in [(127, -128, -128), (-128, 127, -128)] {
        let params = LinearI8::new(geometry, zero_point, Requantize::whole(0));
        let params = params.expect("just as many as may be");
        let room = i32::MAX - 255 * 128 * most as i32;
        let bias = if zero_point < 0 { -room } else { room };
        let layer = Layer {
            weights: vec![weight; most],
            order: RowOrder::Rows,
            bias: Some(vec![bias]),
            scale: vec![100.0 / i32::MAX as f32],
        };
        assert_eq!(layer.get().check(most), Ok(()));
        let prepared = Prepared::linear(set, &params, &layer);
        let (mut scratch, mut output) = (prepared.scratch(), Guarded::garbage(1));
        set.linear_i8(
            &params,
            &vec![input; most],
            prepared.weights(),
            scratch.get_mut(),
            output.get(),
        );
        let expected = if zero_point < 0 { -100 } else { 100 };
        let about: About = (&params, "linear_i8 of the largest sums");
        assert_equal(about, &output.finish(about), &[expected]);
    }
}

/// Slices that are a number too short, or a bias, or no scratch where it is needed, of one sample of `from` to `to` numbers.
fn check_short_slices(
    about: About,
    (from, to): (usize, usize),
    prepared: &Prepared<'_>,
    kernel: impl Fn(&[i8], WeightsI8<'_>, &mut [u8], &mut [i8]),
) {
    let whole = prepared.weights();
    let bias = vec![0; whole.scale.len() + 1];
    let cases = if prepared.scratch > 0 { 6 } else { 5 };
    for short in 0..cases {
        let cut = |len: usize, which: usize| len - usize::from(short == which);
        let weights = WeightsI8 {
            weights: &whole.weights[..cut(whole.weights.len(), 0)],
            order: whole.order,
            bias: (short == 1).then_some(&bias),
            scale: &whole.scale[..cut(whole.scale.len(), 2)],
        };
        let mut output = Guarded::garbage(cut(to, 3));
        let input = vec![1; cut(from, 4)];
        let mut scratch = prepared.scratch();
        let scratch = scratch.get_mut();
        let len = cut(scratch.len(), 5);
        let scratch = &mut scratch[..len];
        call_wrongly(about, || kernel(&input, weights, scratch, output.get()));
        output.finish(about);
    }
}

/// Checks pools of 8-bit numbers.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn pool2d_i8(set: &dyn BackwardKernels, _: super::Agreement) {
    let mut random = Random::new(53);
    for (geometry, batch) in pool2d::geometries() {
        let (from, to) = (geometry.input().len(), geometry.output().len());
        let input = random.numbers(batch * from);
        check(
            (&(geometry, batch), "max_pool2d_i8"),
            (from, to),
            &input,
            |x, y| set.max_pool2d_i8(&geometry, x, y),
            |x, y| reference::max_pool2d_i8(&geometry, x, y),
        );
        let (before, after) = (random.quantization(), random.quantization());
        let params = AvgPool2dI8::new(geometry, before, after).expect("a small window");
        check(
            (&(params, batch), "avg_pool2d_i8"),
            (from, to),
            &input,
            |x, y| set.avg_pool2d_i8(&params, x, y),
            |x, y| reference::avg_pool2d_i8(&params, x, y),
        );
    }
    let (geometry, _) = pool2d::geometries()[10];
    let (from, to) = (geometry.input().len(), geometry.output().len());
    let same = Quantization::new(1.0, 0);
    let params = AvgPool2dI8::new(geometry, same, same).expect("a small window");
    for (from, to) in [(from - 1, to), (from, to - 1)] {
        let about: About = (&geometry, "pools with short slices");
        let mut output = Guarded::garbage(to);
        let input = vec![1; from];
        call_wrongly(about, || set.max_pool2d_i8(&geometry, &input, output.get()));
        call_wrongly(about, || set.avg_pool2d_i8(&params, &input, output.get()));
        output.finish(about);
    }
}

/// Checks quantizing, dequantizing, requantizing, tables and sums of two tensors.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn elementwise_i8(set: &dyn BackwardKernels, _: super::Agreement) {
    let mut random = Random::new(54);
    for len in (0..70).chain([256, 1000]) {
        let (a, b, to) = (
            random.quantization(),
            random.quantization(),
            random.quantization(),
        );
        quantize_and_back(set, &mut random, to, len);

        let bounds = random.bounds();
        let params = RequantizeI8::new(a, to, bounds).expect("usual scales");
        let numbers = random.numbers(len);
        let about: About = (&(params, len), "requantize_i8");
        let mut found = Guarded::new(&numbers);
        set.requantize_i8(&params, found.get());
        let mut expected = numbers.clone();
        reference::requantize_i8(&params, &mut expected);
        assert_equal(about, &found.finish(about), &expected);

        let table: TableI8 = core::array::from_fn(|_| random.number());
        let about: About = (&(table, len), "table_i8");
        let mut found = Guarded::new(&numbers);
        set.table_i8(&table, found.get());
        let mut expected = numbers.clone();
        reference::table_i8(&table, &mut expected);
        assert_equal(about, &found.finish(about), &expected);

        let params = AddI8::new(a, b, to, bounds).expect("usual scales");
        let operand = random.numbers(len);
        let about: About = (&(params, len), "add_i8");
        let mut found = Guarded::new(&numbers);
        set.add_i8(&params, &operand, found.get());
        let mut expected = numbers;
        reference::add_i8(&params, &operand, &mut expected);
        assert_equal(about, &found.finish(about), &expected);
    }
    let quantization = Quantization::new(1.0, 0);
    let params = AddI8::new(quantization, quantization, quantization, (-128, 127));
    let params = params.expect("the same scale");
    let about: About = (&params, "functions of numbers with slices that do not fit");
    let mut data = Guarded::new(&[1; 8]);
    call_wrongly(about, || set.add_i8(&params, &[1; 7], data.get()));
    call_wrongly(about, || {
        set.quantize_i8(quantization, &[1.0; 9], data.get())
    });
    data.finish(about);
    let mut data = Guarded::new(&[1.0; 8]);
    call_wrongly(about, || {
        set.dequantize_i8(quantization, &[1; 7], data.get())
    });
    data.finish(about);
}

/// Checks functions of two tensors of 8-bit numbers, with the operands that those of `f32` are checked with.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn binary_i8(set: &dyn BackwardKernels, _: super::Agreement) {
    let mut random = Random::new(57);
    for (shape, operand) in binary::problems() {
        for function in BinaryFunction::ALL {
            let geometry = Binary::new(function, Activation::Identity, shape, operand);
            let (a, b, to) = (
                random.quantization(),
                random.quantization(),
                random.quantization(),
            );
            let geometry = geometry.expect("the operand can be spread");
            let params = BinaryI8::new(geometry, a, b, to, random.bounds());
            let params = params.expect("usual scales");
            for (batch, operands) in [(0, 1), (1, 1), (3, 1), (3, 3)] {
                let about: About = (&(params, batch, operands), "binary_i8");
                let data = random.numbers(batch * shape.len());
                let operand = random.numbers(operands * operand.len());
                let mut found = Guarded::new(&data);
                set.binary_i8(&params, &operand, found.get());
                let mut expected = data;
                reference::binary_i8(&params, &operand, &mut expected);
                assert_equal(about, &found.finish(about), &expected);
            }
        }
    }
    let (same, four) = (Quantization::new(1.0, 0), Shape::vector(4));
    let geometry = Binary::new(BinaryFunction::ALL[0], Activation::Identity, four, four);
    let geometry = geometry.expect("the same shape");
    let params = BinaryI8::new(geometry, same, same, same, (-128, 127)).expect("scales of 1");
    let about: About = (&params, "binary_i8 with slices that do not fit");
    let mut data = Guarded::new(&[1; 10]);
    call_wrongly(about, || set.binary_i8(&params, &[1; 4], data.get()));
    data.finish(about);
    let mut data = Guarded::new(&[1; 8]);
    call_wrongly(about, || set.binary_i8(&params, &[1; 5], data.get()));
    data.finish(about);
}

fn quantize_and_back(
    set: &dyn BackwardKernels,
    random: &mut Random,
    quantization: Quantization,
    len: usize,
) {
    const SPECIALS: [f32; 6] = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        -0.0,
        f32::MAX,
        f32::MIN_POSITIVE,
    ];
    let real: Vec<f32> = (0..len)
        .map(|_| match random.below(10) {
            0 => random.choose(&SPECIALS),
            // Halves of the scale.
            1..5 => (random.below(600) as f32 - 300.0) / 2.0 * quantization.scale,
            _ => random.value() * 200.0 * quantization.scale,
        })
        .collect();
    let about: About = (&(quantization, len), "quantize_i8");
    let mut found = Guarded::garbage(len);
    set.quantize_i8(quantization, &real, found.get());
    let mut expected = vec![0; len];
    reference::quantize_i8(quantization, &real, &mut expected);
    assert_equal(about, &found.finish(about), &expected);

    let about: About = (&(quantization, len), "dequantize_i8");
    let mut found = Guarded::garbage(len);
    set.dequantize_i8(quantization, &expected, found.get());
    let mut real = vec![0.0; len];
    reference::dequantize_i8(quantization, &expected, &mut real);
    super::assert_same(about, &found.finish(about), &real);
}

/// Checks softmax of 8-bit numbers.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn softmax_i8(set: &dyn BackwardKernels, _: super::Agreement) {
    let mut random = Random::new(55);
    for channels in (1..=35).chain([100]) {
        for runs in [0, 1, 5] {
            let before = random.quantization();
            let after = random.choose(&[
                Quantization::new(1.0 / 256.0, -128),
                Quantization::new(0.01, 3),
                Quantization::new(0.0625, 0),
            ]);
            let params = SoftmaxI8::new(Shape::vector(channels), before, after);
            let params = params.expect("usual scales");
            let about: About = (&(params, runs), "softmax_i8");
            let numbers = random.numbers(runs * channels);
            let mut found = Guarded::new(&numbers);
            set.softmax_i8(&params, found.get());
            let mut expected = numbers;
            reference::softmax_i8(&params, &mut expected);
            assert_equal(about, &found.finish(about), &expected);
        }
    }
    let quantization = Quantization::new(1.0, 0);
    let params = SoftmaxI8::new(Shape::vector(3), quantization, quantization);
    let params = params.expect("scales of 1");
    let about: About = (&params, "softmax_i8 with a slice that does not fit");
    let mut data = Guarded::new(&[1; 8]);
    call_wrongly(about, || set.softmax_i8(&params, data.get()));
    data.finish(about);
}

/// Checks copies of 8-bit numbers, as those of `f32`.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn strided_copy_i8(set: &dyn BackwardKernels, _: super::Agreement) {
    let mut random = Random::new(56);
    for params in strided_copy::problems() {
        for batch in [0, 1, 2] {
            let about: About = (&(params, batch), "strided_copy_i8");
            let input = random.numbers(batch * params.input_len());
            let before = random.numbers(batch * params.output_len());
            let mut found = Guarded::new(&before);
            set.strided_copy_i8(&params, &input, found.get());
            let mut expected = before;
            reference::strided_copy(&params, &input, &mut expected);
            assert_equal(about, &found.finish(about), &expected);
        }
    }
    let params = StridedCopy::place(Shape::vector(3), [0, 0, 1], Shape::vector(4));
    let params = params.expect("it fits");
    let about: About = (&params, "strided_copy_i8 with slices that do not fit");
    let mut output = Guarded::new(&[1; 8]);
    call_wrongly(about, || {
        set.strided_copy_i8(&params, &[2; 5], output.get())
    });
    output.finish(about);
}

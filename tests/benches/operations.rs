//! Every operation on every kernel set that this machine runs, on one core:
//! `cargo bench --bench operations [-- conv2d/avx2]`.
//!
//! Names are `<operation>/<set>/<shape>`. An element is a multiply-accumulate, so a Gelem/s is a GMAC/s; for
//! operations without any it is a value of the input. At the end each is set against the peak, which is what a
//! loop of multiply-accumulates does on registers alone, measured among the others.
//!
//! With `--count` nothing is measured: every operation runs in [`counted`], where `cargo xtask instructions` has
//! valgrind count its instructions.

#![allow(missing_docs, reason = "a program")]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use kinglet_kernels::testing::Aligned;
use kinglet_kernels::{
    Activation, Axis, BackwardKernels, Binary, BinaryFunction, BinaryI8, Concat, Conv2d, Conv2dI8,
    CountPadding, Linear, LinearI8, Padding, ParamsError, Pool2d, PooledConv2d, Quantization,
    Requantize, Rounding, RowOrder, Shape, TableI8, Unary, WeightsI8, Window, arch,
};

fn main() -> Result<(), ParamsError> {
    let counts = std::env::args().any(|argument| argument == "--count");
    // Criterion starts other programs, of which instructions would be counted as well.
    let criterion = (!counts).then(|| {
        Criterion::default()
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_secs(1))
            .sample_size(20)
            .configure_from_args()
    });
    let mut bench = Bench {
        criterion,
        results: Vec::new(),
    };
    // The oracle is not held to any number of instructions, and takes the most.
    let left_out = |set: &&arch::Set| counts && set.name() == "reference";
    for set in arch::sets().iter().filter(|set| !left_out(set)) {
        match set.training_kernels() {
            Some(set) => operations(&mut bench, set)?,
            None => println!("{}: NOT RUN on this CPU", set.name()),
        }
    }
    if let Some(criterion) = &mut bench.criterion {
        criterion.final_summary();
    }
    // Cargo says `--bench`; without it everything ran once, as a test.
    if std::env::args().any(|argument| argument == "--bench") {
        bench.print_shares();
    }
    Ok(())
}

struct Bench {
    /// What measures; nothing does where instructions are counted.
    criterion: Option<Criterion>,
    results: Vec<Measured>,
}

/// A function that is there by its name: what runs in it is what is counted.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    // With nothing behind it the call would be a jump, and nobody would see this function return.
    std::hint::black_box(());
}

/// The best of an operation, for the table at the end.
struct Measured {
    set: &'static str,
    name: String,
    macs: u64,
    best: Duration,
}

/// Operations that have a share of the peak count multiply-accumulates; others count values.
#[derive(Clone, Copy)]
enum Amount {
    Macs(u64),
    Values(usize),
}

impl Bench {
    fn run(
        &mut self,
        set: &'static dyn BackwardKernels,
        operation: &str,
        shape: &str,
        amount: Amount,
        mut work: impl FnMut(),
    ) {
        let Some(criterion) = &mut self.criterion else {
            // What is only done once is done before.
            work();
            println!("{operation}/{}/{shape}", set.name());
            return counted(&mut work);
        };
        let mut best = Duration::MAX;
        let (macs, elements) = match amount {
            Amount::Macs(macs) => (macs, macs),
            Amount::Values(values) => (0, values as u64),
        };
        let mut group = criterion.benchmark_group(operation);
        group.throughput(Throughput::Elements(elements));
        group.bench_function(BenchmarkId::new(set.name(), shape), |bencher| {
            bencher.iter_custom(|iterations| {
                let start = Instant::now();
                (0..iterations).for_each(|_| work());
                let time = start.elapsed();
                best = best.min(time.div_f64(iterations as f64));
                time
            });
        });
        group.finish();
        // Those that the command line left out were not run.
        if macs > 0 && best < Duration::MAX {
            self.results.push(Measured {
                set: set.name(),
                name: format!("{operation}/{}/{shape}", set.name()),
                macs,
                best,
            });
        }
    }

    fn print_shares(&self) {
        let rate = |measured: &Measured| measured.macs as f64 / measured.best.as_secs_f64() / 1e9;
        let is_peak = |measured: &&Measured| measured.name.starts_with("peak/");
        for peak in self.results.iter().filter(is_peak) {
            println!("{}: {:.1} GMAC/s; share of it:", peak.name, rate(peak));
            let others = self.results.iter().filter(|other| other.set == peak.set);
            for measured in others.filter(|measured| !is_peak(measured)) {
                let share = 100.0 * rate(measured) / rate(peak);
                println!("  {share:5.1} %  {}", measured.name);
            }
        }
    }
}

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect()
}

fn numbers(len: usize) -> Vec<i8> {
    (0..len).map(|i| (i % 251) as u8 as i8).collect()
}

fn operations(bench: &mut Bench, set: &'static dyn BackwardKernels) -> Result<(), ParamsError> {
    let macs = 2_000_000;
    bench.run(set, "peak", "registers", Amount::Macs(macs), || {
        let mut sum = 0.0;
        set.peak_f32(macs, std::hint::black_box(0.5), &mut sum);
        std::hint::black_box(sum);
    });
    let same = Window::new(3, 3).with_padding(Padding::symmetric(1, 1));
    let quiz = Window::new(5, 5).with_padding(Padding::symmetric(2, 2));
    // The lesson's network, the quiz's, one that is deeper, pointwise and depthwise.
    let convolutions = [
        ("3to16_3x3_of_32x32", (32, 32, 3), 16, same, 1),
        ("16to32_3x3_of_16x16", (16, 16, 16), 32, same, 1),
        ("32to64_3x3_of_8x8", (8, 8, 32), 64, same, 1),
        (
            "3to10_3x3_of_130x130",
            (130, 130, 3),
            10,
            Window::new(3, 3),
            1,
        ),
        ("10to20_5x5_of_32x32", (32, 32, 10), 20, quiz, 1),
        ("64to64_3x3_of_16x16", (16, 16, 64), 64, same, 1),
        (
            "64to64_1x1_of_16x16",
            (16, 16, 64),
            64,
            Window::new(1, 1),
            1,
        ),
        ("64_depthwise_3x3_of_16x16", (16, 16, 64), 64, same, 64),
    ];
    for (name, (height, width, channels), out_channels, window, groups) in convolutions {
        let input = Shape::new(height, width, channels);
        let params = Conv2d::new(input, out_channels, window, groups, Activation::Relu)?;
        conv2d(bench, set, name, &params);
        conv2d_i8(bench, set, name, &params)?;
    }
    for (from, to, batch) in [(1024, 500, 1), (1024, 500, 20), (500, 10, 1), (500, 10, 20)] {
        let params = Linear::new(from, to, Activation::Identity)?;
        linear(bench, set, &params, batch);
        linear_i8(bench, set, &params, batch)?;
    }
    let window = Window::new(2, 2).with_stride(2, 2);
    for (name, channels) in [("2x2_of_32x32x16", 16), ("2x2_of_32x32x10", 10)] {
        let shape = Shape::new(32, 32, channels);
        let params = Pool2d::new(shape, window, Rounding::Floor, CountPadding::Include)?;
        pools(bench, set, name, &params);
    }
    conv2d_max_pool2d(bench, set, same, window)?;
    elementwise(bench, set);
    branches(bench, set)
}

fn conv2d(bench: &mut Bench, set: &'static dyn BackwardKernels, name: &str, params: &Conv2d) {
    let macs = Amount::Macs(params.macs());
    let input = values(params.input().len());
    let weights = values(params.weights_len());
    let mut packed = values(set.conv2d_f32_packed_len(params));
    set.conv2d_f32_pack(params, &weights, &mut packed);
    let for_forward = if packed.is_empty() { &weights } else { &packed };
    let bias = values(params.output().channels);
    let mut output = values(params.output().len());
    let scratch = set.conv2d_f32_scratch_len(params);
    let mut scratch = values(scratch.max(set.conv2d_f32_backward_scratch_len(params)));
    bench.run(set, "conv2d", name, macs, || {
        let (scratch, output) = (&mut scratch, &mut output);
        set.conv2d_f32(params, &input, for_forward, Some(&bias), scratch, output);
    });
    let d_output = values(output.len());
    let mut d_input = values(input.len());
    bench.run(set, "conv2d_backward_input", name, macs, || {
        set.conv2d_f32_backward_input(params, &d_output, &weights, &mut scratch, &mut d_input);
    });
    let (mut d_weights, mut d_bias) = (values(weights.len()), values(bias.len()));
    bench.run(set, "conv2d_backward_weights", name, macs, || {
        let (d_weights, d_bias) = (&mut d_weights, Some(&mut d_bias[..]));
        let scratch = &mut scratch;
        set.conv2d_f32_backward_weights(params, &input, &d_output, scratch, d_weights, d_bias);
    });
}

fn linear(bench: &mut Bench, set: &'static dyn BackwardKernels, params: &Linear, batch: usize) {
    let (from, to) = (params.in_features(), params.out_features());
    let name = format!("{from}to{to}_batch_{batch}");
    let macs = Amount::Macs((batch * from * to) as u64);
    let (input, weights) = (values(batch * from), values(from * to));
    let (bias, mut output) = (values(to), values(batch * to));
    bench.run(set, "linear", &name, macs, || {
        set.linear_f32(params, &input, &weights, Some(&bias), &mut output);
    });
    let d_output = values(output.len());
    let mut d_input = values(input.len());
    bench.run(set, "linear_backward_input", &name, macs, || {
        set.linear_f32_backward_input(params, &d_output, &weights, &mut d_input);
    });
    let (mut d_weights, mut d_bias) = (values(weights.len()), values(bias.len()));
    bench.run(set, "linear_backward_weights", &name, macs, || {
        let (d_weights, d_bias) = (&mut d_weights, Some(&mut d_bias[..]));
        set.linear_f32_backward_weights(params, 0..to, &input, &d_output, d_weights, d_bias);
    });
}

/// Weights as a set wants them: packed, or as they are.
fn packed_or<'a>(packed: &'a Aligned<i8>, weights: &'a [i8]) -> &'a [i8] {
    match packed.get() {
        [] => weights,
        packed => packed,
    }
}

/// Multiply-accumulates of 8-bit numbers are counted as values: the peak is one of `f32`.
fn conv2d_i8(
    bench: &mut Bench,
    set: &'static dyn BackwardKernels,
    name: &str,
    geometry: &Conv2d,
) -> Result<(), ParamsError> {
    let params = Conv2dI8::new(*geometry, -3, Requantize::new(-3, -3, 127)?)?;
    let channels = geometry.output().channels;
    let (input, weights) = (
        numbers(geometry.input().len()),
        numbers(geometry.weights_len()),
    );
    let mut packed = Aligned::new(set.conv2d_i8_packed_len(&params), 0);
    set.conv2d_i8_pack(&params, (&weights, RowOrder::Rows), packed.get_mut());
    let mut scratch = Aligned::new(set.conv2d_i8_scratch_len(&params), 0);
    let (bias, scale) = (vec![100; channels], vec![1e-3; channels]);
    let mut output = numbers(geometry.output().len());
    let macs = Amount::Values(geometry.macs() as usize);
    bench.run(set, "conv2d_i8", name, macs, || {
        let weights = WeightsI8 {
            weights: packed_or(&packed, &weights),
            order: RowOrder::Rows,
            bias: Some(&bias),
            scale: &scale,
        };
        set.conv2d_i8(&params, &input, weights, scratch.get_mut(), &mut output);
    });
    Ok(())
}

fn linear_i8(
    bench: &mut Bench,
    set: &'static dyn BackwardKernels,
    geometry: &Linear,
    batch: usize,
) -> Result<(), ParamsError> {
    let (from, to) = (geometry.in_features(), geometry.out_features());
    let params = LinearI8::new(*geometry, -3, Requantize::whole(5))?;
    let (input, weights) = (numbers(batch * from), numbers(from * to));
    let mut packed = Aligned::new(set.linear_i8_packed_len(&params), 0);
    set.linear_i8_pack(&params, (&weights, RowOrder::Rows), packed.get_mut());
    let mut scratch = Aligned::new(set.linear_i8_scratch_len(&params), 0);
    let (bias, scale) = (vec![100; to], vec![1e-3; to]);
    let mut output = numbers(batch * to);
    let name = format!("{from}to{to}_batch_{batch}");
    let macs = Amount::Values(batch * from * to);
    bench.run(set, "linear_i8", &name, macs, || {
        let weights = WeightsI8 {
            weights: packed_or(&packed, &weights),
            order: RowOrder::Rows,
            bias: Some(&bias),
            scale: &scale,
        };
        set.linear_i8(&params, &input, weights, scratch.get_mut(), &mut output);
    });
    Ok(())
}

fn pools(bench: &mut Bench, set: &'static dyn BackwardKernels, name: &str, params: &Pool2d) {
    let len = params.input().len();
    let amount = Amount::Values(len);
    let (input, mut output) = (values(len), values(params.output().len()));
    let (d_output, mut d_input) = (values(output.len()), values(len));
    bench.run(set, "max_pool2d", name, amount, || {
        set.max_pool2d_f32(params, &input, &mut output);
    });
    bench.run(set, "avg_pool2d", name, amount, || {
        set.avg_pool2d_f32(params, &input, &mut output);
    });
    bench.run(set, "max_pool2d_backward", name, amount, || {
        set.max_pool2d_f32_backward(params, &input, &d_output, &mut d_input);
    });
    bench.run(set, "avg_pool2d_backward", name, amount, || {
        set.avg_pool2d_f32_backward(params, &d_output, &mut d_input);
    });
}

/// A convolution with its pool, as the lesson's network begins.
fn conv2d_max_pool2d(
    bench: &mut Bench,
    set: &'static dyn BackwardKernels,
    window: Window,
    pool: Window,
) -> Result<(), ParamsError> {
    let conv = Conv2d::new(Shape::new(32, 32, 3), 16, window, 1, Activation::Relu)?;
    let params = PooledConv2d::new(conv, pool, Rounding::Floor)?;
    let (input, weights) = (values(params.input().len()), values(conv.weights_len()));
    let mut packed = values(set.conv2d_f32_packed_len(&conv));
    set.conv2d_f32_pack(&conv, &weights, &mut packed);
    let weights = if packed.is_empty() { weights } else { packed };
    let bias = values(16);
    let mut scratch = values(set.conv2d_max_pool2d_f32_scratch_len(&params));
    let mut output = values(params.output().len());
    let macs = Amount::Macs(conv.macs());
    bench.run(set, "conv2d_max_pool2d", "3to16_3x3_of_32x32", macs, || {
        let (scratch, output) = (&mut scratch, &mut output);
        set.conv2d_max_pool2d_f32(&params, &input, &weights, Some(&bias), scratch, output);
    });
    Ok(())
}

/// Functions in place: the input is copied back each time, so that they see the same values.
fn elementwise(bench: &mut Bench, set: &'static dyn BackwardKernels) {
    let input = values(16384);
    let mut data = input.clone();
    let amount = Amount::Values(input.len());
    let functions = [
        ("relu_of_16384", Unary::Relu),
        ("leaky_relu_of_16384", Unary::LeakyRelu { slope: 0.01 }),
        ("sigmoid_of_16384", Unary::Sigmoid),
        ("tanh_of_16384", Unary::Tanh),
        ("elu_of_16384", Unary::Elu { alpha: 1.0 }),
        ("hard_swish_of_16384", Unary::HardSwish),
        (
            "selu_of_16384",
            Unary::Selu {
                alpha: 1.673_263_2,
                gamma: 1.050_701,
            },
        ),
        ("swish_of_16384", Unary::Swish { alpha: 1.0 }),
        ("softplus_of_16384", Unary::Softplus),
        ("softsign_of_16384", Unary::Softsign),
        ("mish_of_16384", Unary::Mish),
        ("gelu_of_16384", Unary::Gelu),
        ("gelu_tanh_of_16384", Unary::GeluTanh),
        ("erf_of_16384", Unary::Erf),
        ("abs_of_16384", Unary::Abs),
        ("exp_of_16384", Unary::Exp),
        ("log_of_16384", Unary::Log),
        ("sqrt_of_16384", Unary::Sqrt),
        ("power_of_16384", Unary::Power { exponent: 2.5 }),
    ];
    for (name, function) in functions {
        bench.run(set, "unary", name, amount, || {
            data.copy_from_slice(&input);
            set.unary_f32(function, &mut data);
        });
        if function.has_backward() {
            bench.run(set, "unary_backward", name, amount, || {
                data.copy_from_slice(&input);
                set.unary_f32_backward(function, &input, &mut data);
            });
        }
    }
    let (name, amount) = ("10_of_1000", Amount::Values(1000));
    let (input, mut data) = (values(1000), values(1000));
    bench.run(set, "softmax", name, amount, || {
        data.copy_from_slice(&input);
        set.softmax_f32(10, &mut data);
    });
    bench.run(set, "softmax_backward", name, amount, || {
        data.copy_from_slice(&input);
        set.softmax_f32_backward(10, &input, &mut data);
    });
}

/// What joins the branches of a graph, over the feature maps of a small residual network; in place, as above.
fn branches(bench: &mut Bench, set: &'static dyn BackwardKernels) -> Result<(), ParamsError> {
    let shape = Shape::new(32, 32, 16);
    let amount = Amount::Values(shape.len());
    let (operand, mut data) = (values(shape.len()), values(shape.len()));
    let (numbers_of, mut numbers_in) = (numbers(shape.len()), numbers(shape.len()));
    for (name, function, spread) in [
        ("add_of_32x32x16", BinaryFunction::Add, shape),
        (
            "multiply_channels_of_32x32x16",
            BinaryFunction::Multiply,
            Shape::vector(16),
        ),
        (
            "multiply_positions_of_32x32x16",
            BinaryFunction::Multiply,
            Shape::new(32, 32, 1),
        ),
        ("maximum_of_32x32x16", BinaryFunction::Maximum, shape),
        (
            "prelu_of_32x32x16",
            BinaryFunction::PRelu,
            Shape::vector(16),
        ),
    ] {
        let params = Binary::new(function, Activation::Relu, shape, spread)?;
        bench.run(set, "binary", name, amount, || {
            data.copy_from_slice(&operand);
            set.binary_f32(&params, &operand[..spread.len()], &mut data);
        });
        let (a, b, to) = (
            Quantization::new(0.03, 5),
            Quantization::new(0.02, -9),
            Quantization::new(0.04, 0),
        );
        let params = BinaryI8::new(params, a, b, to, (-100, 127))?;
        bench.run(set, "binary_i8", name, amount, || {
            numbers_in.copy_from_slice(&numbers_of);
            set.binary_i8(&params, &numbers_of[..spread.len()], &mut numbers_in);
        });
    }
    let table: TableI8 = std::array::from_fn(|byte| !byte as u8 as i8);
    bench.run(set, "table_i8", "32x32x16", amount, || {
        set.table_i8(std::hint::black_box(&table), &mut numbers_in);
    });
    let name = "32x32x16";
    let (scale, shift) = (values(16), values(16));
    bench.run(set, "channel_affine", name, amount, || {
        data.copy_from_slice(&operand);
        set.channel_affine_f32(Activation::Relu, &scale, &shift, &mut data);
    });
    let concat = Concat::new(Axis::Channels, &[shape, shape])?;
    let mut joined = values(concat.output().len());
    let amount = Amount::Values(joined.len());
    bench.run(set, "concat", "2_of_32x32x16", amount, || {
        for copy in concat.copies() {
            set.strided_copy_f32(&copy, &operand, &mut joined);
        }
    });
    Ok(())
}

//! Measures how many multiply-accumulates a second each kernel set does, on one core:
//! `cargo run --release -p kinglet-kernels --features std --example throughput [SET]`.

use std::time::{Duration, Instant};

use kinglet_kernels::{
    Activation, BackwardKernels, Conv2d, CountPadding, Linear, Padding, Pool2d, Rounding, Shape,
    Unary, Window, arch,
};

fn main() -> Result<(), kinglet_kernels::ParamsError> {
    let only = std::env::args().nth(1);
    for set in arch::sets() {
        if only.as_deref().is_some_and(|only| only != set.name()) {
            continue;
        }
        match set.kernels() {
            Some(set) => measure(set)?,
            None => println!("{}: NOT RUN on this CPU", set.name()),
        }
    }
    Ok(())
}

/// The best of several runs: what the kernel can do when nothing else runs.
fn best(mut f: impl FnMut()) -> Duration {
    f();
    let start = Instant::now();
    let mut best = Duration::MAX;
    while start.elapsed() < Duration::from_millis(300) {
        let start = Instant::now();
        f();
        best = best.min(start.elapsed());
    }
    best
}

fn report(set: &dyn BackwardKernels, what: &str, macs: u64, f: impl FnMut()) {
    let time = best(f);
    let rate = macs as f64 / time.as_secs_f64() / 1e9;
    println!("{what}/{:<24} {rate:7.2} GMAC/s {time:>12.1?}", set.name());
}

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect()
}

fn measure(set: &dyn BackwardKernels) -> Result<(), kinglet_kernels::ParamsError> {
    let same = Window::new(3, 3).with_padding(Padding::symmetric(1, 1));
    let cases = [
        ("1to16 3x3 at 28x28", Shape::new(28, 28, 1), 16, same, 1),
        ("3to16 3x3 at 32x32", Shape::new(32, 32, 3), 16, same, 1),
        ("16to32 3x3 at 16x16", Shape::new(16, 16, 16), 32, same, 1),
        ("32to64 3x3 at 16x16", Shape::new(16, 16, 32), 64, same, 1),
        ("32to64 3x3 at 8x8", Shape::new(8, 8, 32), 64, same, 1),
        (
            "64to64 1x1 at 16x16",
            Shape::new(16, 16, 64),
            64,
            Window::new(1, 1),
            1,
        ),
        (
            "64 depthwise 3x3 at 16x16",
            Shape::new(16, 16, 64),
            64,
            same,
            64,
        ),
    ];
    for (name, shape, out_channels, window, groups) in cases {
        let params = Conv2d::new(shape, out_channels, window, groups, Activation::Relu)?;
        conv2d(set, name, &params);
    }
    for (from, to, batch) in [
        (1024, 500, 1),
        (1024, 500, 20),
        (1040, 500, 20),
        (500, 10, 20),
    ] {
        linear(set, &Linear::new(from, to, Activation::Identity)?, batch);
    }
    let shape = Shape::new(32, 32, 16);
    let window = Window::new(2, 2).with_stride(2, 2);
    let pool = Pool2d::new(shape, window, Rounding::Floor, CountPadding::Include)?;
    let (input, mut output) = (values(shape.len()), values(pool.output().len()));
    let mut d_input = values(shape.len());
    let len = shape.len() as u64;
    report(set, "max_pool2d/2x2 of 32x32x16", len, || {
        set.max_pool2d_f32(&pool, &input, &mut output);
    });
    report(set, "max_pool2d_backward/2x2 of 32x32x16", len, || {
        set.max_pool2d_f32_backward(&pool, &input, &output, &mut d_input);
    });
    report(set, "avg_pool2d/2x2 of 32x32x16", len, || {
        set.avg_pool2d_f32(&pool, &input, &mut output);
    });
    for function in [Unary::Relu, Unary::Sigmoid] {
        report(set, &format!("unary/{function:?} of 16384"), len, || {
            set.unary_f32(function, &mut d_input);
        });
    }
    report(set, "unary_backward/Relu of 16384", len, || {
        set.unary_f32_backward(Unary::Relu, &input, &mut d_input);
    });
    Ok(())
}

fn conv2d(set: &dyn BackwardKernels, name: &str, params: &Conv2d) {
    let input = values(params.input().len());
    let weights = values(params.weights_len());
    let mut packed = values(set.conv2d_f32_packed_len(params));
    set.conv2d_f32_pack(params, &weights, &mut packed);
    let for_forward = if packed.is_empty() { &weights } else { &packed };
    let bias = values(params.output().channels);
    let mut output = values(params.output().len());
    let scratch = set.conv2d_f32_scratch_len(params);
    let mut scratch = values(scratch.max(set.conv2d_f32_backward_scratch_len(params)));
    let macs = params.macs();
    report(set, &format!("conv2d/{name}"), macs, || {
        set.conv2d_f32(
            params,
            &input,
            for_forward,
            Some(&bias),
            &mut scratch,
            &mut output,
        );
    });
    let d_output = values(output.len());
    let mut d_input = values(input.len());
    report(set, &format!("conv2d_backward_input/{name}"), macs, || {
        set.conv2d_f32_backward_input(params, &d_output, &weights, &mut scratch, &mut d_input);
    });
    let (mut d_weights, mut d_bias) = (values(weights.len()), values(bias.len()));
    report(
        set,
        &format!("conv2d_backward_weights/{name}"),
        macs,
        || {
            let d_bias = Some(&mut d_bias[..]);
            set.conv2d_f32_backward_weights(
                params,
                &input,
                &d_output,
                &mut scratch,
                &mut d_weights,
                d_bias,
            );
        },
    );
}

fn linear(set: &dyn BackwardKernels, params: &Linear, batch: usize) {
    let (from, to) = (params.in_features(), params.out_features());
    let name = format!("{from}to{to} batch {batch}");
    let (input, weights) = (values(batch * from), values(from * to));
    let (bias, mut output) = (values(to), values(batch * to));
    let macs = (batch * from * to) as u64;
    report(set, &format!("linear/{name}"), macs, || {
        set.linear_f32(params, &input, &weights, Some(&bias), &mut output);
    });
    let d_output = values(output.len());
    let mut d_input = values(input.len());
    report(set, &format!("linear_backward_input/{name}"), macs, || {
        set.linear_f32_backward_input(params, &d_output, &weights, &mut d_input);
    });
    let (mut d_weights, mut d_bias) = (values(weights.len()), values(bias.len()));
    report(
        set,
        &format!("linear_backward_weights/{name}"),
        macs,
        || {
            let d_bias = Some(&mut d_bias[..]);
            let (d_weights, rows) = (&mut d_weights, 0..to);
            set.linear_f32_backward_weights(params, rows, &input, &d_output, d_weights, d_bias);
        },
    );
}

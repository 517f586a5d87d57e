//! Every operation on a few sizes that are small and odd, for Oclgrind, which takes a thousand times as long as a CPU and
//! sees every access to memory.

use kinglet::opencl::{Element, Session};
use kinglet::{Model, SessionMemory};
use kinglet_kernels::{
    Activation, BackwardKernels, Conv2d, CountPadding, Linear, Padding, Pool2d, PooledConv2d,
    Portable, Rounding, Shape, Unary, Window,
};
use kinglet_tests::branching::branching;
use kinglet_tests::ends::two_ends;
use kinglet_tests::graphs::{every_operator, file, numbers};
use kinglet_tests::real;

use crate::device::with_variant;
use crate::on_device::OnDevice;

/// Runs `check` with some of the variants of the kernels.
fn with_variants(check: impl Fn(&OnDevice, &mut fastrand::Rng)) {
    for variant in [0, 3, 5] {
        let device = OnDevice {
            name: "small",
            executor: with_variant(variant),
        };
        check(&device, &mut fastrand::Rng::with_seed(variant as u64));
    }
}

/// Compares two results.
fn assert_near(what: &str, found: &[f32], expected: &[f32]) {
    let largest = expected.iter().fold(1e-6_f32, |a, x| a.max(x.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let near = (f - e).abs() <= 1e-5 * largest;
        assert!(near, "{what}: element {i} is {f} instead of {e}");
    }
}

/// What `compute` writes with the device and with the CPU.
fn compare(
    what: &str,
    device: &OnDevice,
    len: usize,
    compute: impl Fn(&dyn BackwardKernels, &mut [f32]),
) {
    let (mut found, mut expected) = (vec![0.0; len], vec![0.0; len]);
    compute(device, &mut found);
    compute(&Portable, &mut expected);
    assert_near(what, &found, &expected);
}

fn convolutions() -> Vec<Conv2d> {
    let padded = Window::new(3, 2).with_padding(Padding {
        top: 1,
        bottom: 0,
        left: 1,
        right: 2,
    });
    let conv = |shape, channels, window, groups| {
        Conv2d::new(shape, channels, window, groups, Activation::Relu).expect("a sample layer")
    };
    vec![
        conv(Shape::new(3, 5, 3), 5, padded, 1),
        conv(
            Shape::new(5, 4, 4),
            6,
            padded.with_stride(2, 1).with_dilation(1, 2),
            2,
        ),
        conv(Shape::new(3, 3, 5), 5, padded, 5),
        conv(Shape::new(2, 3, 6), 9, Window::new(1, 1), 1),
    ]
}

#[test]
fn small_convolutions() {
    with_variants(|device, rng| {
        for params in convolutions() {
            let (from, to) = (2 * params.input().len(), 2 * params.output().len());
            let input = numbers(rng, from);
            let weights = numbers(rng, params.weights_len());
            let bias = numbers(rng, params.output().channels);
            let d = numbers(rng, to);
            let what = format!("{params:?}");
            compare(&what, device, to, |set, output| {
                set.conv2d_f32(&params, &input, &weights, Some(&bias), &mut [], output);
            });
            compare(&what, device, from, |set, output| {
                set.conv2d_f32_backward_input(&params, &d, &weights, &mut [], output);
            });
            compare(&what, device, params.weights_len(), |set, output| {
                let mut d_bias = vec![0.0; bias.len()];
                let d_bias = Some(&mut d_bias[..]);
                set.conv2d_f32_backward_weights(&params, &input, &d, &mut [], output, d_bias);
            });
            let pool = Window::new(2, 2).with_stride(2, 2);
            let pooled = PooledConv2d::new(params, pool, Rounding::Ceil).expect("it fits");
            compare(&what, device, 2 * pooled.output().len(), |set, output| {
                set.conv2d_max_pool2d_f32(&pooled, &input, &weights, None, &mut [], output);
            });
        }
    });
}

#[test]
fn small_linear_layers() {
    with_variants(|device, rng| {
        for (from, to, batch) in [(1, 1, 1), (5, 3, 3), (17, 9, 2)] {
            let params = Linear::new(from, to, Activation::Relu6).expect("a sample layer");
            let input = numbers(rng, batch * from);
            let weights = numbers(rng, from * to);
            let bias = numbers(rng, to);
            let d = numbers(rng, batch * to);
            let what = format!("{params:?}");
            compare(&what, device, batch * to, |set, output| {
                set.linear_f32(&params, &input, &weights, Some(&bias), output);
            });
            compare(&what, device, batch * from, |set, output| {
                set.linear_f32_backward_input(&params, &d, &weights, output);
            });
            compare(&what, device, from * to, |set, output| {
                let mut d_bias = vec![0.0; to];
                let d_bias = Some(&mut d_bias[..]);
                set.linear_f32_backward_weights(&params, 0..to, &input, &d, output, d_bias);
            });
        }
    });
}

#[test]
fn small_pools() {
    with_variants(|device, rng| {
        let window = Window::new(2, 3).with_stride(2, 2);
        let window = window.with_padding(Padding::symmetric(1, 1));
        for (channels, count) in [(3, CountPadding::Include), (5, CountPadding::Exclude)] {
            let shape = Shape::new(4, 5, channels);
            let params = Pool2d::new(shape, window, Rounding::Ceil, count).expect("a sample pool");
            let input = numbers(rng, 2 * shape.len());
            let len = 2 * params.output().len();
            let d = numbers(rng, len);
            compare("max pool", device, len, |set, output| {
                set.max_pool2d_f32(&params, &input, output);
            });
            compare("average pool", device, len, |set, output| {
                set.avg_pool2d_f32(&params, &input, output);
            });
            compare("max pool backward", device, input.len(), |set, output| {
                set.max_pool2d_f32_backward(&params, &input, &d, output);
            });
            compare(
                "average pool backward",
                device,
                input.len(),
                |set, output| {
                    set.avg_pool2d_f32_backward(&params, &d, output);
                },
            );
        }
    });
}

#[test]
fn small_functions() {
    with_variants(|device, rng| {
        let leaky = Unary::LeakyRelu { slope: 0.1 };
        for function in [
            Unary::Relu,
            Unary::Relu6,
            leaky,
            Unary::Sigmoid,
            Unary::Tanh,
            Unary::Clip {
                low: -0.5,
                high: 0.5,
            },
            Unary::Elu { alpha: 0.5 },
            Unary::HardSigmoid {
                alpha: 0.2,
                beta: 0.5,
            },
            Unary::HardSwish,
        ] {
            let (values, d) = (numbers(rng, 7), numbers(rng, 7));
            compare("function", device, 7, |set, output| {
                output.copy_from_slice(&values);
                set.unary_f32(function, output);
            });
            compare("function backward", device, 7, |set, output| {
                output.copy_from_slice(&d);
                set.unary_f32_backward(function, &values, output);
            });
        }
        let values = numbers(rng, 15);
        compare("softmax", device, 15, |set, output| {
            output.copy_from_slice(&values);
            set.softmax_f32(5, output);
        });
        compare("log softmax", device, 15, |set, output| {
            output.copy_from_slice(&values);
            set.log_softmax_f32(5, output);
        });
        compare("softmax backward", device, 15, |set, output| {
            output.copy_from_slice(&values);
            set.softmax_f32_backward(3, &values, output);
        });
    });
}

#[test]
fn small_graph_that_branches() {
    let spec = branching();
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    let input = numbers(&mut fastrand::Rng::with_seed(10), model.input().len());
    let mut memory = SessionMemory::new(&model, &Portable, 1);
    let mut cpu = memory.session(&model, Portable).expect("it fits");
    cpu.set_input_f32(&input).expect("the right length");
    let executor = with_variant(0);
    let mut device = Session::new(&executor, &model, 1, Element::F32).expect("it can be made");
    device.set_input_f32(&input).expect("the right length");
    assert_near("output", device.run().expect("it runs"), real(cpu.run()));
}

#[test]
fn small_graph_of_two_inputs_and_outputs() {
    let file = file(&two_ends());
    let model = Model::load(&file).expect("a valid file");
    let rng = &mut fastrand::Rng::with_seed(11);
    let mut memory = SessionMemory::new(&model, &Portable, 1);
    let mut cpu = memory.session(&model, Portable).expect("it fits");
    let executor = with_variant(0);
    let mut device = Session::new(&executor, &model, 1, Element::F32).expect("it can be made");
    for index in 0..2 {
        let input = device.input_mut(index).expect("there are two");
        input.copy_from_slice(&numbers(rng, input.len()));
        let input = cpu.input_mut(index).expect("there are two");
        let values = device.input(index).expect("there are two");
        input.set_f32(values).expect("of its length");
    }
    device.run().expect("it runs");
    cpu.run();
    for index in 0..2 {
        let found = device.output(index).expect("there are two");
        let expected = real(cpu.output(index).expect("there are two"));
        assert_near("output", found, expected);
    }
}

#[test]
fn small_models_in_both_storages() {
    let file = file(&every_operator());
    let model = Model::load(&file).expect("a valid file");
    let executor = with_variant(0);
    for storage in [Element::F32, Element::F16] {
        let mut session = Session::new(&executor, &model, 1, storage).expect("it can be made");
        let input = numbers(&mut fastrand::Rng::with_seed(9), model.input().len());
        session.set_input_f32(&input).expect("the right length");
        let sum: f32 = session.run().expect("it runs").iter().sum();
        assert!((sum - 1.0).abs() < 1e-2, "probabilities add up: {sum}");
    }
}

//! What a device must show before it is used: one small model for each operator, against the CPU.

use std::format;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use kinglet_kernels::{
    Activation, CountPadding, Padding, Portable, Rounding, Shape, Unary, Window,
};

use super::{Element, Executor, OpenClError, Session, agreement};
use crate::model::{GraphSpec, InputSpec, NodeSpec, OutputSpec, encode};
use crate::operator::{
    AvgPool2d, Conv2d, Conv2dMaxPool2d, Layer, Linear, MaxPool2d, Operator, Owned, Softmax,
};
use crate::{AlignedBytes, InputError, Model, SessionMemory};

/// Under this name the findings tell that a device has passed.
const PASSED: &str = "self-test passed";

/// Runs the test, unless this device has passed it with these kernels and this driver.
pub(super) fn run(executor: &Arc<Executor>) -> Result<(), OpenClError> {
    if executor.findings.get(PASSED).is_some() {
        return Ok(());
    }
    for (name, operator, output) in operators() {
        compare(executor, name, operator, output)?;
    }
    executor.findings.set(PASSED, 1);
    executor.save();
    Ok(())
}

/// What all of them read: sizes that no tile divides.
const PICTURE: Shape = Shape::new(7, 9, 5);

/// The operators, each with its output.
fn operators() -> Vec<(&'static str, Operator<Owned>, Shape)> {
    let padded = Window::new(3, 3).with_padding(Padding::symmetric(1, 1));
    let window = Window::new(2, 2).with_stride(2, 2);
    let conv = |groups: usize, out_channels: usize, activation| Conv2d {
        window: padded,
        groups: groups as u32,
        activation,
        layer: layer(out_channels * 9 * PICTURE.channels / groups, out_channels),
    };
    let pooled = Conv2dMaxPool2d {
        conv: conv(1, 13, Activation::Relu6),
        pool: window,
        rounding: Rounding::Floor,
    };
    let linear = Linear {
        activation: Activation::Identity,
        layer: layer(11 * PICTURE.len(), 11),
    };
    let rounding = Rounding::Ceil;
    let average = AvgPool2d {
        window: padded,
        rounding: Rounding::Floor,
        count_padding: CountPadding::Exclude,
    };
    let relu = Activation::Relu;
    vec![
        (
            "convolution",
            conv(1, 13, relu).into(),
            Shape::new(7, 9, 13),
        ),
        ("depthwise convolution", conv(5, 5, relu).into(), PICTURE),
        ("convolution and pool", pooled.into(), Shape::new(3, 4, 13)),
        ("linear layer", linear.into(), Shape::vector(11)),
        (
            "max pool",
            MaxPool2d { window, rounding }.into(),
            Shape::new(4, 5, 5),
        ),
        ("average pool", average.into(), PICTURE),
        ("sigmoid", Unary::Sigmoid.into(), PICTURE),
        ("softmax", Softmax.into(), PICTURE),
    ]
}

fn layer(weights: usize, bias: usize) -> Layer<Owned> {
    Layer {
        weights: values(weights),
        bias: Some(values(bias)),
    }
}

/// Numbers between -1 and 1 that never repeat.
fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| libm::sinf(i as f32 * 0.7 + 0.3)).collect()
}

fn compare(
    executor: &Arc<Executor>,
    name: &str,
    operator: Operator<Owned>,
    output: Shape,
) -> Result<(), OpenClError> {
    let spec = GraphSpec {
        name: String::new(),
        inputs: vec![InputSpec::new("input", PICTURE)],
        nodes: vec![NodeSpec {
            operator,
            inputs: vec![0],
            output: output.into(),
        }],
        outputs: vec![OutputSpec::new("output", 1)],
        trainable_nodes: 0,
    };
    let unsupported = |reason: String| OpenClError::Unsupported { reason };
    let (file, _) = encode(&spec).map_err(|e| unsupported(e.to_string()))?;
    let file = AlignedBytes::from(file.as_slice());
    let model = Model::load(&file).map_err(|e| unsupported(e.to_string()))?;

    let batch = 2;
    let input = values(batch * PICTURE.len());
    let mut memory = SessionMemory::new(&model, &Portable, batch);
    let session = memory.session(&model, Portable);
    let mut expected = session.map_err(|e| unsupported(e.to_string()))?;
    let refused = |e: InputError| unsupported(e.to_string());
    expected.set_input_f32(&input).map_err(refused)?;
    let mut found = Session::new(executor, &model, batch, Element::F32)?;
    found.set_input_f32(&input).map_err(refused)?;
    let what = format!("self-test of {}: {name}", executor.info().name);
    let expected = expected.run().as_f32().unwrap_or_default();
    agreement::check(&what, found.run()?, expected, Element::F32)
}

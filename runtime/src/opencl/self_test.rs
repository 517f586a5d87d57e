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
use crate::model::{GraphSpec, NodeSpec, OperatorSpec, encode};
use crate::{AlignedBytes, Model, SessionMemory};

/// Under this name the findings tell that a device has passed.
const PASSED: &str = "self-test passed";

/// Runs the test, unless this device has passed it with these kernels and this driver.
pub(super) fn run(executor: &Arc<Executor>) -> Result<(), OpenClError> {
    if executor.findings.get(PASSED).is_some() {
        return Ok(());
    }
    for (name, input, operator) in operators() {
        compare(executor, name, input, operator)?;
    }
    executor.findings.set(PASSED, 1);
    executor.save();
    Ok(())
}

/// Operators with sizes that no tile divides.
fn operators() -> Vec<(&'static str, Shape, OperatorSpec)> {
    let padded = Window::new(3, 3).with_padding(Padding::symmetric(1, 1));
    let pool = Window::new(2, 2).with_stride(2, 2);
    let picture = Shape::new(7, 9, 5);
    let conv = |groups: usize, out_channels: usize| OperatorSpec::Conv2d {
        out_channels,
        window: padded,
        groups,
        activation: Activation::Relu,
        weights: values(out_channels * 9 * picture.channels / groups),
        bias: Some(values(out_channels)),
    };
    vec![
        ("convolution", picture, conv(1, 13)),
        ("depthwise convolution", picture, conv(5, 5)),
        (
            "convolution and pool",
            picture,
            OperatorSpec::Conv2dMaxPool2d {
                out_channels: 13,
                window: padded,
                groups: 1,
                activation: Activation::Relu6,
                weights: values(13 * 9 * 5),
                bias: None,
                pool,
                rounding: Rounding::Floor,
            },
        ),
        (
            "linear layer",
            picture,
            OperatorSpec::Linear {
                out_features: 11,
                activation: Activation::Identity,
                weights: values(11 * picture.len()),
                bias: Some(values(11)),
            },
        ),
        (
            "max pool",
            picture,
            OperatorSpec::MaxPool2d {
                window: pool,
                rounding: Rounding::Ceil,
            },
        ),
        (
            "average pool",
            picture,
            OperatorSpec::AvgPool2d {
                window: padded,
                rounding: Rounding::Floor,
                count_padding: CountPadding::Exclude,
            },
        ),
        ("sigmoid", picture, OperatorSpec::Unary(Unary::Sigmoid)),
        ("softmax", picture, OperatorSpec::Softmax),
    ]
}

/// Numbers between -1 and 1 that never repeat.
fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| libm::sinf(i as f32 * 0.7 + 0.3)).collect()
}

fn compare(
    executor: &Arc<Executor>,
    name: &str,
    input: Shape,
    operator: OperatorSpec,
) -> Result<(), OpenClError> {
    let spec = GraphSpec {
        name: String::new(),
        input,
        nodes: vec![NodeSpec {
            operator,
            inputs: vec![0],
        }],
        mean: vec![],
        std: vec![],
        labels: vec![],
        trainable_nodes: 0,
    };
    let unsupported = |reason: String| OpenClError::Unsupported { reason };
    let (file, _) = encode(&spec).map_err(|e| unsupported(e.to_string()))?;
    let file = AlignedBytes::from(file.as_slice());
    let model = Model::load(&file).map_err(|e| unsupported(e.to_string()))?;

    let batch = 2;
    let input = values(batch * input.len());
    let mut memory = SessionMemory::new(&model, &Portable, batch);
    let session = memory.session(&model, Portable);
    let mut expected = session.map_err(|e| unsupported(e.to_string()))?;
    expected.input_mut().copy_from_slice(&input);
    let mut found = Session::new(executor, &model, batch, Element::F32)?;
    found.input_mut().copy_from_slice(&input);
    let what = format!("self-test of {}: {name}", executor.info().name);
    agreement::check(&what, found.run()?, expected.run(), Element::F32)
}

//! Networks of known values, and a trained one, on 8-bit numbers.

use std::path::Path;

use kinglet::model::schema::Operator;
use kinglet_kernels::arch::{detect, sets};
use kinglet_kernels::{Activation, BinaryFunction, Portable, Shape, Unary};

use super::correct::correct;
use super::equalize::equalize;
use super::histogram::Histogram;
use super::*;
use crate::dataset::ReadOptions;
use crate::export::{ExportSettings, export};
use crate::graph::{Graph, Role};
use crate::picture::Fit;
use crate::random::{Purpose, for_purpose, uniform_between};
use crate::recipe::{Normalize, Recipe};

/// A model that was trained on Fashion-MNIST.
const MICRO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../boards/models/micro.kgl");

/// An untrained network of these layers.
fn network(input: &str, layers: &str) -> Graph {
    let text = format!("input = {input}\nlayers = [{layers}]");
    let recipe = Recipe::parse(&text, Path::new("test.toml")).unwrap();
    recipe.graph.initialized(3)
}

fn file(graph: Graph) -> ModelFile {
    let settings = ExportSettings {
        normalize: Normalize::identity(graph.input().channels),
        labels: Vec::new(),
        fine_tune_last: 0,
    };
    ModelFile::from_bytes(&export(graph, &settings).unwrap().0).unwrap()
}

/// Features from -1 to 1 for `graph`, of two classes.
fn features(shape: Shape, count: usize) -> Collection {
    let mut random = for_purpose(5, Purpose::Initialize, 0, 0);
    let number = |_| uniform_between(&mut random, [-1.0, 1.0]);
    let numbers = (0..count * shape.len()).map(number).collect();
    collection(shape, numbers, count)
}

fn collection(shape: Shape, numbers: Vec<f32>, count: usize) -> Collection {
    let labels = (0..count).map(|i| (i % 2) as u8).collect();
    let path = Path::new("features");
    Collection {
        source: "features".to_owned(),
        train: Dataset::from_features(path, shape, numbers, labels).unwrap(),
        validation: None,
        test: None,
        classes: Vec::new(),
    }
}

/// The data set that is built in, as the trained model takes it.
fn pictures(file: &ModelFile) -> Collection {
    let options = ReadOptions::of_model(&file.model(), Fit::Resize, None);
    crate::dataset::embedded()
        .unwrap()
        .fitted(&options)
        .unwrap()
}

fn refusal(file: &ModelFile, data: &Collection) -> String {
    let result = quantize(file, data, &Settings::default(), detect());
    result.unwrap_err().to_string()
}

fn operators(bytes: &[u8]) -> Vec<&'static str> {
    let file = ModelFile::from_bytes(bytes).unwrap();
    let names = file.model().nodes().iter().map(|node| match node.operator {
        Operator::QuantizedConv2d(_) => "conv",
        Operator::QuantizedLinear(_) => "linear",
        Operator::QuantizedAdd(_) => "add",
        Operator::Requantize(_) => "requantize",
        Operator::Table(_) => "table",
        Operator::QuantizedBinary(_) => "binary",
        Operator::Dequantize(_) => "dequantize",
        Operator::Quantize(_) => "quantize",
        Operator::Concat(_) => "concat",
        Operator::MaxPool2d(_) => "max",
        Operator::AvgPool2d(_) => "mean",
        Operator::Reshape(_) => "reshape",
        Operator::Conv2d(_) | Operator::Linear(_) => "f32 layer",
        _ => "f32",
    });
    names.collect()
}

const CNN: &str = r#""Conv2d(2, 6, 3, padding=1)", "ReLU()", "MaxPool2d(2)", "Conv2d(6, 6, 3, padding=1, groups=6)",
    "ReLU()", "Conv2d(6, 8, 1)", "ReLU()", "Flatten()", "Linear(72, 10)", "ReLU()", "Linear(10, 4)""#;

#[test]
fn a_trained_network_keeps_its_accuracy_and_is_the_same_file_on_every_kernel_set() {
    let file = ModelFile::read(MICRO.as_ref()).unwrap();
    let data = pictures(&file);
    let settings = Settings {
        samples: 64,
        ..Settings::default()
    };
    let found = quantize(&file, &data, &settings, detect()).unwrap();
    let (f32, int8) = (found.report.f32, found.report.int8);
    let (before, after) = (f32.accuracy.unwrap(), int8.accuracy.unwrap());
    assert!(after > 0.75 && after > before - 0.01, "{before}, {after}");
    assert!(int8.file < f32.file / 2 && int8.arena < f32.arena);
    assert_eq!(int8.macs, f32.macs);
    assert!(!operators(&found.bytes).contains(&"f32 layer"));
    for layer in &found.report.layers {
        assert_eq!(layer.element, "i8", "{layer:?}");
        assert!(layer.decibels.unwrap() > 20.0, "{layer:?}");
        assert!(layer.low.unwrap() <= 0.0 && layer.high.unwrap() >= 0.0);
    }
    for set in sets() {
        // The oracle takes long, and is the portable set bit by bit.
        let Some(kernels) = set.kernels().filter(|_| set.name() != "reference") else {
            continue;
        };
        let other = quantize(&file, &data, &settings, kernels).unwrap();
        assert_eq!(other.bytes, found.bytes, "{}", set.name());
        let file = ModelFile::from_bytes(&other.bytes).unwrap();
        let test = data.test.as_ref().unwrap();
        let indices: Vec<usize> = (0..200).collect();
        let [a, b] = [kernels, &Portable]
            .map(|kernels| evaluate(&file.model(), kernels, test, &indices).unwrap());
        assert_eq!(a, b, "{}", set.name());
    }
}

#[test]
fn the_whole_network_is_on_8_bit_numbers() {
    let file = file(network("[2, 6, 6]", CNN));
    let data = features(Shape::new(6, 6, 2), 60);
    let found = quantize(&file, &data, &Settings::default(), detect()).unwrap();
    assert_eq!(
        operators(&found.bytes),
        ["conv", "max", "conv", "conv", "linear", "linear"]
    );
    let best = &found.report.trials[found.report.taken];
    assert!(best.decibels > 25.0, "{best:?}");
    // Without a test part, what was held out is measured.
    assert_eq!(found.report.part, "held out");
}

#[test]
fn channels_that_make_no_difference_are_left_out_unless_they_are_to_stay() {
    let mut graph = network("[2, 6, 6]", CNN);
    // The depthwise layer's first channel is below what its ReLU lets through, whatever the pixels are.
    let depthwise = &mut graph.nodes[3].operation;
    depthwise.values_mut(Role::Bias).unwrap()[0] = -1000.0;
    let file = file(graph);
    let data = features(Shape::new(6, 6, 2), 60);
    let mut settings = Settings::default();
    let found = quantize(&file, &data, &settings, detect()).unwrap();
    settings.keep_constant = true;
    let whole = quantize(&file, &data, &settings, detect()).unwrap();
    assert_eq!(
        (whole.report.saving, whole.report.int8.macs),
        (None, whole.report.f32.macs)
    );
    let saving = found.report.saving.unwrap();
    assert!(saving.after.channels < saving.before.channels);
    assert_eq!(found.report.int8.macs, saving.after.macs);
    assert!(found.bytes.len() < whole.bytes.len());
    let [found, whole] = [found, whole].map(|quantized| {
        let file = ModelFile::from_bytes(&quantized.bytes).unwrap();
        let model = file.model();
        let mut memory = kinglet::SessionMemory::new(&model, &Portable, 1);
        let mut session = memory.session(&model, Portable).unwrap();
        let mut outputs = Vec::new();
        for index in 0..data.train.len() {
            let Sample::Features(features) = data.train.sample(index) else {
                panic!("features");
            };
            session.set_input_f32(features).unwrap();
            outputs.push(session.run().to_f32().into_owned());
        }
        outputs
    });
    assert_eq!(found, whole);
}

#[test]
fn what_is_put_together_has_one_meaning() {
    let layers = r#"
        "a = Conv2d(2, 3, 1)", "b = Conv2d(2, 5, 3, padding=1)(input)", "c = torch.cat([a, b], dim=1)",
        "Conv2d(8, 8, 3, padding=1)", "_ + c", "Flatten()", "Linear(288, 2)""#;
    let file = file(network("[2, 6, 6]", layers));
    let data = features(Shape::new(6, 6, 2), 40);
    let found = quantize(&file, &data, &Settings::default(), detect()).unwrap();
    let operators = operators(&found.bytes);
    assert_eq!(
        operators,
        ["conv", "conv", "concat", "conv", "add", "linear"]
    );
}

#[test]
fn what_has_no_counterpart_stays_on_real_numbers() {
    let layers = r#""a = Conv2d(2, 4, 3)", "b = Sigmoid()", "a / b", "MaxPool2d(2)", "Conv2d(4, 4, 1)", "Flatten()", "Linear(16, 3)", "Softmax()""#;
    let file = file(network("[2, 6, 6]", layers));
    let data = features(Shape::new(6, 6, 2), 40);
    let found = quantize(&file, &data, &Settings::default(), detect()).unwrap();
    assert_eq!(
        operators(&found.bytes),
        [
            "conv",
            "table",
            "dequantize",
            "dequantize",
            "f32",
            "max",
            "quantize",
            "conv",
            "linear",
            "dequantize",
            "f32"
        ]
    );
    let reasons: Vec<_> = found.report.layers.iter().map(|l| l.reason).collect();
    assert_eq!(reasons[2], Some("no 8-bit counterpart"));
    assert_eq!(reasons.last().unwrap(), &Some("classes stay apart"));
}

#[test]
fn any_function_of_one_number_is_a_table() {
    for function in [
        "Sigmoid",
        "Hardswish",
        "LeakyReLU",
        "GELU",
        "SiLU",
        "Tanh",
        "ELU",
        "Hardsigmoid",
    ] {
        let layers = format!(
            r#""Conv2d(2, 4, 3)", "{function}()", "MaxPool2d(2)", "Conv2d(4, 4, 1)", "{function}()", "Flatten()", "Linear(16, 3)""#
        );
        let file = file(network("[2, 6, 6]", &layers));
        let data = features(Shape::new(6, 6, 2), 40);
        let found = quantize(&file, &data, &Settings::default(), detect()).unwrap();
        let expected = ["conv", "table", "max", "conv", "table", "linear"];
        assert_eq!(operators(&found.bytes), expected, "{function}");
        let taken = &found.report.trials[found.report.taken];
        assert!(taken.decibels > 20.0, "{function}: {taken:?}");
    }
}

#[test]
fn gates_slopes_and_affine_functions_of_channels_are_on_8_bit_numbers() {
    // Squeeze and excite; a normalization behind a sum, which no layer takes up; slopes that differ.
    let layers = r#""a = Conv2d(2, 4, 3, padding=1)", "AdaptiveAvgPool2d(1)", "Conv2d(4, 2, 1)", "ReLU()", "Conv2d(2, 4, 1)",
        "b = Sigmoid()", "c = a * b", "d = c - a", "BatchNorm2d(4)", "LeakyReLU(0.1)", "Flatten()", "Linear(144, 3)""#;
    let mut graph = network("[2, 6, 6]", layers);
    for node in &mut graph.nodes {
        match &mut node.operation {
            Operation::BatchNorm2d(of) => {
                of.weights = vec![0.7, -1.5, 1.0, 2.0];
                of.bias = vec![0.1, 0.0, -0.2, 0.3];
            }
            Operation::Unary(Unary::LeakyRelu { .. }) => {
                node.operation = Operation::BinaryConstant {
                    function: BinaryFunction::PRelu,
                    activation: Activation::Identity,
                    shape: Shape::vector(4),
                    operand: vec![0.1, 0.25, -0.5, 1.0],
                };
            }
            _ => {}
        }
    }
    let data = features(Shape::new(6, 6, 2), 40);
    let found = quantize(&file(graph), &data, &Settings::default(), detect()).unwrap();
    assert_eq!(
        operators(&found.bytes),
        [
            "conv", "mean", "conv", "conv", "table", "binary", "binary", "conv", "conv", "binary",
            "linear"
        ]
    );
    let taken = &found.report.trials[found.report.taken];
    assert!(taken.decibels > 20.0, "{taken:?}");
}

#[test]
fn a_function_between_layers_that_are_trained_is_on_real_numbers_again() {
    let layers =
        r#""Conv2d(2, 4, 3)", "ReLU()", "Flatten()", "Linear(64, 6)", "Tanh()", "Linear(6, 3)""#;
    let file = file(network("[2, 6, 6]", layers));
    let data = features(Shape::new(6, 6, 2), 40);
    let settings = Settings {
        fine_tune_last: 2,
        ..Settings::default()
    };
    let found = quantize(&file, &data, &settings, detect()).unwrap();
    let tunable = ModelFile::from_bytes(&found.bytes).unwrap();
    assert_eq!(tunable.model().trainable_nodes(), 3);
}

#[test]
fn named_layers_and_those_that_are_trained_stay_on_real_numbers() {
    let file = file(network("[2, 6, 6]", CNN));
    let data = features(Shape::new(6, 6, 2), 40);
    let mut settings = Settings {
        keep_float: BTreeSet::from([1]),
        per_layer: true,
        ..Settings::default()
    };
    let found = quantize(&file, &data, &settings, detect()).unwrap();
    assert_eq!(operators(&found.bytes)[..2], ["f32", "quantize"]);
    let layers = &found.report.layers;
    assert_eq!((layers[0].reason, layers[0].alone), (Some("kept"), None));
    let whole = found.report.trials[found.report.taken].decibels;
    for layer in layers.iter().filter(|layer| layer.element == "i8") {
        assert!(layer.alone.unwrap().decibels > whole - 3.0, "{layer:?}");
    }
    settings.keep_float.clear();
    settings.fine_tune_last = 2;
    let found = quantize(&file, &data, &settings, detect()).unwrap();
    let tunable = ModelFile::from_bytes(&found.bytes).unwrap();
    assert_eq!(tunable.model().trainable_nodes(), 2);
    assert_eq!(
        operators(&found.bytes)[4..],
        ["dequantize", "f32 layer", "f32 layer"]
    );
    settings.fine_tune_last = 3;
    let error = quantize(&file, &data, &settings, detect()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--fine-tune last=3: the network has only 2 linear layers"
    );
}

/// A network, samples and what was found of it.
fn calibrated(graph: Graph, data: &Collection) -> (Network, Scheme, calibrate::Statistics) {
    let network = Network::of(&file(graph).model()).unwrap();
    let scheme = Scheme::new(&network, |_| false);
    let samples = all(&data.train);
    let statistics = calibrate::Statistics::collect(&network, &scheme, &samples).unwrap();
    (network, scheme, statistics)
}

#[test]
fn channels_in_balance_compute_the_same() {
    let mut graph = network("[2, 6, 6]", CNN);
    // Channels far apart.
    let layers = graph.nodes.iter_mut();
    for node in layers.filter(|node| node.name.starts_with("Conv2d")) {
        let weights = node.operation.values_mut(Role::Weights).unwrap();
        let row = weights.len() / 6;
        for (channel, row) in weights.chunks_exact_mut(row).enumerate() {
            row.iter_mut()
                .for_each(|w| *w *= 0.05 * (channel * channel + 1) as f32);
        }
    }
    let data = features(Shape::new(6, 6, 2), 24);
    let (network, scheme, statistics) = calibrated(graph, &data);
    let equalized = equalize(&network, &statistics.channels).unwrap();
    let samples = all(&data.train);
    let outputs = |network: &Network| {
        let judge = Judge::new(network, &samples, &Portable).unwrap();
        judge.outputs().to_vec()
    };
    let (before, after) = (outputs(&network), outputs(&equalized));
    let largest = before.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    for (before, after) in before.iter().zip(&after) {
        assert!((before - after).abs() < 1e-5 * largest, "{before} {after}");
    }
    // In front of the depthwise convolution all channels reach as far.
    let again = calibrate::Statistics::collect(&equalized, &scheme, &samples).unwrap();
    let spread = |channels: &[f32]| {
        let most = channels.iter().copied().fold(0.0_f32, f32::max);
        // What is never above 0 is not there behind ReLU.
        let used = channels.iter().filter(|x| **x > 0.0);
        used.map(|x| most / x).fold(0.0_f32, f32::max)
    };
    assert!(spread(&statistics.channels[1]) > 5.0);
    let after = spread(&again.channels[1]);
    assert!(after < 1.01, "{after}");
}

#[test]
fn corrected_biases_take_back_the_shift_of_the_mean() {
    let data = features(Shape::new(6, 6, 2), 64);
    let (network, scheme, statistics) = calibrated(network("[2, 6, 6]", CNN), &data);
    let samples = all(&data.train);
    // Much is cut off, and shifted; but of the output, behind which there is nothing to correct it.
    let ranges = statistics.ranges(&scheme, Method::MinMax).into_iter();
    let quantizations: Vec<_> = ranges
        .enumerate()
        .map(|(value, range)| {
            let Range { low, high } = range?;
            if network.graph.is_output(value) {
                return Some(Range { low, high }.quantization());
            }
            let cut = Range {
                low: 0.7 * low,
                high: 0.7 * high,
            };
            Some(cut.quantization())
        })
        .collect();
    let corrected = correct(&network, &scheme, &quantizations, &samples).unwrap();
    let judge = Judge::new(&network, &samples, &Portable).unwrap();
    let shift = |network: &Network| {
        let rewritten = rewrite(network, &scheme, &quantizations);
        let found = judge.outputs_of(&rewritten, network).unwrap();
        let mut sums = [0.0_f64; 4];
        for (index, (found, expected)) in found.iter().zip(judge.outputs()).enumerate() {
            sums[index % 4] += f64::from(found - expected);
        }
        sums.iter().map(|sum| sum.abs()).sum::<f64>()
    };
    let (before, after) = (shift(&network), shift(&corrected));
    assert!(after < 0.2 * before, "{before} {after}");
}

fn histogram(numbers: &[f32]) -> (Range, Histogram) {
    let low = numbers.iter().copied().fold(0.0, f32::min);
    let high = numbers.iter().copied().fold(0.0, f32::max);
    let mut histogram = Histogram::new(low, high);
    histogram.add(numbers);
    (Range { low, high }, histogram)
}

/// As many numbers of a bell curve, from those of `uniform`: sums of twelve.
fn bell(count: usize) -> Vec<f32> {
    let mut random = for_purpose(7, Purpose::Initialize, 0, 0);
    let mut sum = || {
        (0..12)
            .map(|_| uniform_between(&mut random, [-0.5, 0.5]))
            .sum()
    };
    (0..count).map(|_| sum()).collect()
}

#[test]
fn ranges_of_known_distributions() {
    let numbers: Vec<f32> = (0..100_000).map(|i| i as f32 / 1e5).collect();
    let (extent, uniform) = histogram(&numbers);
    for method in Method::ALL {
        let range = method.range(extent, &uniform);
        // Each part is worth as much: nothing, or the little that was asked for, is cut off.
        assert!(range.low == 0.0 && range.high > 0.99, "{method}: {range:?}");
    }
    let mut numbers = bell(400_000);
    numbers.extend([40.0, -25.0]);
    let (extent, outliers) = histogram(&numbers);
    let range = |method: Method| method.range(extent, &outliers);
    assert_eq!(range(Method::MinMax), extent);
    for method in [
        Method::Percentile { cut: 100 },
        Method::Percentile { cut: 1000 },
        Method::Divergence,
    ] {
        let range = range(method);
        assert!(range.high < 9.0 && range.high > 2.0, "{method}: {range:?}");
        assert!(range.low > -9.0 && range.low < -2.0, "{method}: {range:?}");
    }
    // To cut off 30 of one number costs more than what all others gain by a step half as wide.
    let least = range(Method::SquaredError);
    assert!(least.high > 10.0 && least.high < 40.0, "{least:?}");
    // Of a bell curve the thousandth lies 3.29 deviations away, the ten-thousandth 3.89 (a sum of twelve a little less).
    let cut = range(Method::Percentile { cut: 1000 });
    assert!(
        (cut.high - 3.2).abs() < 0.15 && (cut.low + 3.2).abs() < 0.15,
        "{cut:?}"
    );
    // Zeros are exact in any range.
    let rectified: Vec<f32> = bell(50_000).iter().map(|x| x.max(0.0)).collect();
    let (extent, rectified) = histogram(&rectified);
    for method in Method::ALL {
        let range = method.range(extent, &rectified);
        assert!(range.low == 0.0 && range.high > 2.5, "{method}: {range:?}");
    }
}

#[test]
fn the_least_error_is_that_of_no_other_part() {
    let (extent, numbers) = histogram(&bell(20_000));
    let error = |range: Range| {
        let quantization = range.quantization();
        let errors = numbers.filled().map(|(x, count)| {
            let back = quantization.dequantize(quantization.quantize(x as f32));
            (x - f64::from(back)).powi(2) * count as f64
        });
        errors.sum::<f64>()
    };
    let least = error(Method::SquaredError.range(extent, &numbers));
    for method in Method::ALL {
        assert!(least <= error(method.range(extent, &numbers)), "{method}");
    }
}

#[test]
fn a_range_has_a_zero_and_256_numbers() {
    for (low, high) in [
        (0.0, 6.0),
        (-1.0, 1.0),
        (-0.3, 7.0),
        (-5.0, 0.0),
        (1.0, 2.0),
        (-1e30, 3e38),
    ] {
        let range = Range::new(low, high);
        let quantization = range.quantization();
        assert!(quantization.check().is_ok());
        assert_eq!(quantization.dequantize(quantization.quantize(0.0)), 0.0);
        for end in [range.low, range.high] {
            let back = quantization.dequantize(quantization.quantize(end));
            assert!(
                (back - end).abs() <= 0.501 * quantization.scale,
                "{range:?}"
            );
        }
    }
    assert!(Range::ZERO.quantization().check().is_ok());
    for method in Method::ALL {
        assert_eq!(method.name().parse(), Ok(method));
    }
    assert_eq!(
        "best".parse::<Method>(),
        Err("there is no such method; there are min-max, 99.99, 99.9, mse, kl".to_owned())
    );
}

#[test]
fn data_that_say_nothing_are_refused() {
    let file = file(network("[2, 6, 6]", CNN));
    let shape = Shape::new(6, 6, 2);
    assert_eq!(
        refusal(&file, &features(Shape::new(5, 6, 2), 8)),
        "the samples are 5x6x2 (height x width x channels), the model takes 6x6x2; --resize scales pictures"
    );
    let constant = collection(shape, vec![0.25; 8 * shape.len()], 8);
    let error = refusal(&file, &constant);
    assert!(
        error.starts_with("all 6 samples for calibration are the same"),
        "{error}"
    );
    for value in [f32::NAN, f32::INFINITY] {
        let mut numbers = vec![0.0; 8 * shape.len()];
        (0..8).for_each(|sample| numbers[sample * shape.len()] = sample as f32);
        numbers[3 * shape.len() + 7] = value;
        assert_eq!(
            refusal(&file, &collection(shape, numbers, 8)),
            format!(
                "sample 3 of the calibration data has a value of {value}: only finite numbers have a range"
            )
        );
    }
    // One sample is little, but more than none.
    let one = features(shape, 1);
    let found = quantize(&file, &one, &Settings::default(), detect()).unwrap();
    assert_eq!((found.report.samples, found.report.held_out), (1, 1));
}

#[test]
fn weights_of_any_size_give_a_network_or_a_reason() {
    let data = features(Shape::new(6, 6, 2), 24);
    let with = |change: &dyn Fn(&mut [f32])| {
        let mut graph = network("[2, 6, 6]", CNN);
        let weights = graph.nodes[0].operation.values_mut(Role::Weights);
        change(weights.unwrap());
        file(graph)
    };
    let decibels = |file: &ModelFile| {
        let found = quantize(file, &data, &Settings::default(), detect()).unwrap();
        found.report.trials[found.report.taken].decibels
    };
    // A channel of zeros is none to divide by.
    assert!(decibels(&with(&|weights| weights[..18].fill(0.0))) > 25.0);
    // Nor are all of them, or very small ones: what is left is the biases.
    assert!(decibels(&with(&|weights| weights.fill(0.0))) > 25.0);
    assert!(decibels(&with(&|weights| weights.fill(1e-38))) > 25.0);
    // A bias that is no 32-bit number at the scale of its weights.
    let mut graph = network("[2, 6, 6]", CNN);
    let weights = graph.nodes[0].operation.values_mut(Role::Weights);
    weights.unwrap()[..18].fill(1e-7);
    let bias = graph.nodes[0].operation.values_mut(Role::Bias);
    bias.unwrap()[0] = 3.0;
    let found = quantize(&file(graph), &data, &Settings::default(), detect()).unwrap();
    assert!(!operators(&found.bytes).contains(&"f32 layer"));
    assert!(found.report.trials[found.report.taken].decibels > 25.0);
    // Large ones are numbers as others are.
    assert!(decibels(&with(&|weights| weights[0] = 1e30)) > 25.0);
    let error = refusal(&with(&|weights| weights.fill(3e38)), &data);
    assert!(
        error.starts_with("the output of 1 Conv2dMaxPool2d is not finite for some of the samples"),
        "{error}"
    );
    let nan = with(&|weights| weights[5] = f32::NAN);
    assert_eq!(
        refusal(&nan, &data),
        "layer 1 Conv2dMaxPool2d has a weight of NaN: train or import the network anew"
    );
}

#[test]
fn what_is_quantized_or_has_no_layers_is_refused() {
    let data = features(Shape::new(6, 6, 2), 24);
    let real = file(network("[2, 6, 6]", CNN));
    let found = quantize(&real, &data, &Settings::default(), detect()).unwrap();
    let quantized = ModelFile::from_bytes(&found.bytes).unwrap();
    assert_eq!(
        refusal(&quantized, &data),
        "the model is quantized already; give the one of real numbers (f32) that it was made from"
    );
    let pool = file(network("[2, 6, 6]", r#""MaxPool2d(2)", "Flatten()""#));
    let error = refusal(&pool, &data);
    assert!(
        error.contains("neither a convolution nor a linear layer"),
        "{error}"
    );
}

//! Whole models on every kernel set that this machine runs, on one core:
//! `cargo bench --bench models [-- run/avx2]`.
//!
//! Names are `<what>/<set>/<model>`: `run` a session, `step` of on-device training of the last layer. An
//! element is a multiply-accumulate of the model, so a Gelem/s is a GMAC/s. `kinglet bench` measures one model
//! layer by layer.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use kinglet::model::GraphSpec;
use kinglet::operator::{MaxPool2d, Operator, Owned};
use kinglet::{FineTuner, HeapArena, Model, SessionMemory, Sgd};
use kinglet_kernels::{
    Activation, Conv2d, Kernels, Linear, Padding, ParamsError, Rounding, Shape, Window, arch,
};
use kinglet_tests::graphs::{Bias, chain, conv2d, file, linear, numbers};
use kinglet_tests::real_input;

fn main() -> Result<(), ParamsError> {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .configure_from_args();
    let models = [lesson()?, quiz()?];
    for set in arch::sets() {
        match set.kernels() {
            Some(set) => models
                .iter()
                .for_each(|model| measure(&mut criterion, set, model)),
            None => println!("{}: NOT RUN on this CPU", set.name()),
        }
    }
    criterion.final_summary();
    Ok(())
}

/// A graph and its multiply-accumulates.
struct Sample {
    spec: GraphSpec,
    macs: u64,
}

fn measure(criterion: &mut Criterion, set: &'static dyn Kernels, sample: &Sample) {
    let bytes = file(&sample.spec);
    let model = Model::load(&bytes).expect("a valid file");
    let mut memory = SessionMemory::new(&model, &set, 1);
    let mut session = memory.session(&model, set).expect("it fits");
    let input = numbers(&mut fastrand::Rng::with_seed(1), model.input().len());
    let id = || BenchmarkId::new(set.name(), model.name());

    let mut group = criterion.benchmark_group("run");
    group.throughput(Throughput::Elements(sample.macs));
    group.bench_function(id(), |bencher| {
        bencher.iter(|| {
            real_input(&mut session).copy_from_slice(&input);
            std::hint::black_box(session.run());
        });
    });
    group.finish();
    let mut training = HeapArena::new(model.sizes().training::<Sgd>());
    // A learning rate of 0 keeps the loss where it is, whatever the number of steps.
    let tuner = FineTuner::new(session, &mut training, Sgd::new(0.0, 0.9));
    let mut tuner = tuner.expect("it fits");
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(sample.macs));
    group.bench_function(id(), |bencher| {
        bencher.iter(|| {
            tuner.set_input_f32(&input).expect("the right length");
            tuner.step(0).expect("a finite loss")
        });
    });
    group.finish();
}

/// The operators of a network in the making.
struct Layers {
    rng: fastrand::Rng,
    shape: Shape,
    operators: Vec<Operator<Owned>>,
    macs: u64,
}

impl Layers {
    fn of(shape: Shape) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(1),
            shape,
            operators: Vec::new(),
            macs: 0,
        }
    }

    fn conv2d(
        &mut self,
        out_channels: usize,
        window: Window,
        activation: Activation,
    ) -> Result<(), ParamsError> {
        let params = Conv2d::new(self.shape, out_channels, window, 1, activation)?;
        let operator = conv2d(&mut self.rng, &params, activation, Bias::Yes);
        self.operators.push(operator);
        self.macs += params.macs();
        self.shape = params.output();
        Ok(())
    }

    fn max_pool2d(&mut self, size: usize) -> Result<(), ParamsError> {
        let window = Window::new(size, size).with_stride(size, size);
        let rounding = Rounding::Floor;
        let (height, width) = window.output_size(self.shape.height, self.shape.width, rounding)?;
        self.operators.push(MaxPool2d { window, rounding }.into());
        self.shape = Shape::new(height, width, self.shape.channels);
        Ok(())
    }

    fn linear(&mut self, out_features: usize, activation: Activation) -> Result<(), ParamsError> {
        let params = Linear::new(self.shape.len(), out_features, activation)?;
        let (from, rng) = (params.in_features(), &mut self.rng);
        let operator = linear(rng, from, out_features, activation, Bias::Yes);
        self.operators.push(operator);
        self.macs += params.weights_len() as u64;
        self.shape = Shape::vector(out_features);
        Ok(())
    }

    /// The graph, whose last layer may be trained.
    fn finish(self, name: &str, input: Shape) -> Sample {
        let spec = GraphSpec {
            trainable_nodes: 1,
            ..chain(name, input, self.operators)
        };
        let macs = self.macs;
        Sample { spec, macs }
    }
}

/// The network of `tools/recipes/lesson.toml`.
fn lesson() -> Result<Sample, ParamsError> {
    let input = Shape::new(32, 32, 3);
    let mut layers = Layers::of(input);
    let same = Window::new(3, 3).with_padding(Padding::symmetric(1, 1));
    for channels in [16, 32, 64] {
        layers.conv2d(channels, same, Activation::Relu)?;
        layers.max_pool2d(2)?;
    }
    layers.linear(500, Activation::Relu)?;
    layers.linear(10, Activation::Identity)?;
    Ok(layers.finish("lesson", input))
}

/// The network of `tools/recipes/quiz.toml`.
fn quiz() -> Result<Sample, ParamsError> {
    let input = Shape::new(130, 130, 3);
    let mut layers = Layers::of(input);
    layers.conv2d(10, Window::new(3, 3), Activation::Identity)?;
    layers.max_pool2d(4)?;
    let padded = Window::new(5, 5).with_padding(Padding::symmetric(2, 2));
    layers.conv2d(20, padded, Activation::Identity)?;
    layers.max_pool2d(2)?;
    layers.linear(10, Activation::Identity)?;
    Ok(layers.finish("quiz", input))
}

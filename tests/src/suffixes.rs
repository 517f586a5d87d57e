//! Models with every kind of trainable suffix, and tuners of them.

use kinglet::model::GraphSpec;
use kinglet::operator::{Operator, Owned, Softmax};
use kinglet::{AnySession, FineTuner, HeapArena, Model, Optimizer};
use kinglet_kernels::{Activation, Conv2d, Padding, Portable, Shape, Unary, Window};

use crate::graphs::{Bias, chain, conv2d, file, linear, numbers};
use crate::interpreter;

/// A tuner on the portable kernels.
pub type Tuner<'a, O> = FineTuner<'a, { kinglet::model::schema::bits::ALL }, Portable, O>;

/// A small body with `suffix` behind it, all of it trainable. The features are 2 x 2 x 3 values.
fn with_suffix(
    seed: u64,
    suffix: impl Fn(&mut fastrand::Rng) -> Vec<Operator<Owned>>,
) -> GraphSpec {
    let rng = &mut fastrand::Rng::with_seed(seed);
    let input = Shape::new(4, 4, 1);
    let window = Window::new(3, 3)
        .with_stride(2, 2)
        .with_padding(Padding::symmetric(1, 1));
    let body = Conv2d::new(input, 3, window, 1, Activation::Identity).expect("a sample layer");
    let mut operators = vec![conv2d(rng, &body, Activation::Identity, Bias::Yes)];
    operators.extend(suffix(rng));
    GraphSpec {
        trainable_nodes: operators.len() - 1,
        ..chain("suffix", input, operators)
    }
}

const FEATURES: usize = 12;

/// Every kind of suffix that can be trained, by name.
pub fn suffixes() -> Vec<(&'static str, GraphSpec)> {
    use Activation::{Identity, Relu, Relu6};
    let unary = Operator::Unary;
    let between = |function: Unary| {
        with_suffix(21, |rng| {
            vec![
                linear(rng, FEATURES, 7, Identity, Bias::Yes),
                unary(function),
                linear(rng, 7, 4, Identity, Bias::Yes),
            ]
        })
    };
    let whole = GraphSpec {
        trainable_nodes: 2,
        ..chain(
            "no body",
            Shape::new(2, 3, 2),
            vec![
                linear(&mut fastrand::Rng::with_seed(22), 12, 5, Relu, Bias::Yes),
                linear(&mut fastrand::Rng::with_seed(23), 5, 3, Identity, Bias::Yes),
            ],
        )
    };
    vec![
        (
            "one linear",
            with_suffix(24, |rng| {
                vec![linear(rng, FEATURES, 4, Identity, Bias::Yes)]
            }),
        ),
        (
            "without bias",
            with_suffix(25, |rng| {
                vec![
                    linear(rng, FEATURES, 6, Relu, Bias::No),
                    linear(rng, 6, 4, Identity, Bias::No),
                ]
            }),
        ),
        ("relu between", between(Unary::Relu)),
        ("relu6 between", between(Unary::Relu6)),
        ("sigmoid between", between(Unary::Sigmoid)),
        ("tanh between", between(Unary::Tanh)),
        (
            "leaky relu between",
            between(Unary::LeakyRelu { slope: 0.2 }),
        ),
        (
            "fused relu6, three layers",
            with_suffix(26, |rng| {
                vec![
                    linear(rng, FEATURES, 9, Relu6, Bias::Yes),
                    linear(rng, 9, 6, Relu, Bias::No),
                    linear(rng, 6, 5, Identity, Bias::Yes),
                ]
            }),
        ),
        (
            "ends in softmax",
            with_suffix(27, |rng| {
                vec![
                    linear(rng, FEATURES, 6, Relu, Bias::Yes),
                    linear(rng, 6, 4, Identity, Bias::Yes),
                    Softmax.into(),
                ]
            }),
        ),
        (
            "begins and ends element-wise",
            with_suffix(28, |rng| {
                vec![
                    unary(Unary::Tanh),
                    linear(rng, FEATURES, 5, Identity, Bias::Yes),
                    unary(Unary::LeakyRelu { slope: 0.5 }),
                ]
            }),
        ),
        ("no body", whole),
        ("elu between", between(Unary::Elu { alpha: 0.8 })),
        (
            "selu between",
            between(Unary::Selu {
                alpha: 1.5,
                gamma: 1.25,
            }),
        ),
        ("softplus between", between(Unary::Softplus)),
        ("softsign between", between(Unary::Softsign)),
    ]
}

/// What `spec`'s frozen nodes make of `input`.
pub fn features(spec: &GraphSpec, input: &[f32]) -> Vec<f32> {
    let mut body = spec.clone();
    body.nodes.truncate(spec.nodes.len() - spec.trainable_nodes);
    let features = interpreter::run(&body, input).pop();
    features.expect("at least the input").elements
}

/// Calls `test` with a tuner of `spec`.
pub fn with_tuner<O: Optimizer, T>(
    spec: &GraphSpec,
    optimizer: O,
    test: impl FnOnce(Tuner<'_, O>) -> T,
) -> T {
    let file = file(spec);
    let model = Model::load(&file).expect("a valid file");
    let mut arena = HeapArena::new(model.sizes().arena);
    let mut training = HeapArena::new(model.sizes().training::<O>());
    let session = AnySession::new(&model, &mut arena, Portable).expect("fits");
    test(FineTuner::new(session, &mut training, optimizer).expect("fits"))
}

/// A few steps on inputs that depend on `seed`.
pub fn learn_a_little<O: Optimizer>(tuner: &mut Tuner<'_, O>, seed: u64) {
    let rng = &mut fastrand::Rng::with_seed(seed);
    for _ in 0..8 {
        tuner.set_input_f32(&numbers(rng, 16)).expect("16 elements");
        tuner.step(rng.usize(0..3)).expect("a finite loss");
    }
}

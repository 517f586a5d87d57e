//! Sessions of graphs that branch, against the oracle: on every kernel set, in batches, and in the places that the
//! plan has chosen.

use kinglet::model::{EncodeError, GraphSpec};
use kinglet::operator::{Concat, Operator, Owned, Reshape, Slice, Softmax};
use kinglet::{HeapArena, LoadError, Model, Probe, Session, SessionMemory, Values};
use kinglet_kernels::{
    Activation, BinaryFunction, Kernels, ParamsError, Portable, Reference, Shape, Unary, arch,
};
use kinglet_tests::branching::{binary, branching, random_dag};
use kinglet_tests::builder::Builder;
use kinglet_tests::graphs::{file, input_len, numbers};
use kinglet_tests::interpreter::{self, Value};
use kinglet_tests::{bits_of, real};

/// Keeps the output of each node.
#[derive(Default)]
struct Outputs(Vec<Vec<f32>>);

impl Probe for Outputs {
    fn before(&mut self, _: usize) {}

    fn after(&mut self, _: usize, output: Values<'_>) {
        self.0.push(real(output).to_vec());
    }
}

/// The outputs of all nodes for a batch.
fn outputs_of(
    spec: &GraphSpec,
    kernels: &dyn Kernels,
    batch: usize,
    input: &[f32],
) -> Vec<Vec<f32>> {
    let file = file(spec);
    let model = Model::load(&file).expect("a valid file");
    let mut memory = SessionMemory::new(&model, &kernels, batch);
    let mut session = memory.session(&model, kernels).expect("its own memory");
    session.set_input_f32(input).expect("the right length");
    let mut outputs = Outputs::default();
    session.run_probed(&mut outputs);
    outputs.0
}

/// NaN is NaN, whatever its bits.
fn plain(values: &[f32]) -> Vec<u32> {
    let quiet = |x: &f32| if x.is_nan() { f32::NAN } else { *x };
    bits_of(&values.iter().map(quiet).collect::<Vec<_>>())
}

fn assert_equals_interpreter(spec: &GraphSpec, input: &[f32]) {
    let expected = interpreter::run(spec, input);
    for kernels in [&Portable as &dyn Kernels, &Reference] {
        let found = outputs_of(spec, kernels, 1, input);
        for (index, (found, expected)) in found.iter().zip(&expected[1..]).enumerate() {
            assert_eq!(
                plain(found),
                plain(&expected.elements),
                "node {index} of {spec:?}"
            );
        }
    }
}

/// Each node is compared on the inputs that it had: errors of earlier nodes do not add up.
fn assert_agrees_with_oracle(spec: &GraphSpec, kernels: &dyn Kernels, input: &[f32]) {
    let outputs = outputs_of(spec, kernels, 1, input);
    let shapes = interpreter::run(spec, input);
    let tensors: Vec<Value> = std::iter::once(input.to_vec())
        .chain(outputs)
        .zip(&shapes)
        .map(|(elements, value)| Value::real(value.shape, elements))
        .collect();
    for (index, node) in spec.nodes.iter().enumerate() {
        let read = interpreter::read(node, &tensors);
        let expected = interpreter::output(node, &read).elements;
        let bounds = interpreter::bounds(node, &read);
        let found = &tensors[index + 1].elements;
        assert_eq!(found.len(), expected.len());
        for ((found, expected), bound) in found.iter().zip(&expected).zip(&bounds) {
            let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
            assert!(
                same || (found - expected).abs() <= *bound,
                "{}, node {index}: {found} instead of {expected}, bound {bound}, of {spec:?}",
                kernels.name()
            );
        }
    }
}

#[test]
fn branching_graphs_give_the_bits_of_the_oracle() {
    let rng = &mut fastrand::Rng::with_seed(32);
    let spec = branching();
    for _ in 0..5 {
        assert_equals_interpreter(&spec, &numbers(rng, input_len(&spec)));
    }
    for _ in 0..1000 {
        let spec = random_dag(rng);
        assert_equals_interpreter(&spec, &numbers(rng, input_len(&spec)));
    }
}

#[test]
fn every_kernel_set_agrees_with_the_oracle_on_branching_graphs() {
    let rng = &mut fastrand::Rng::with_seed(33);
    for set in arch::sets() {
        let Some(kernels) = set.kernels() else {
            println!("{}: not on this machine", set.name());
            continue;
        };
        let spec = branching();
        assert_agrees_with_oracle(&spec, kernels, &numbers(rng, input_len(&spec)));
        for _ in 0..300 {
            let spec = random_dag(rng);
            assert_agrees_with_oracle(&spec, kernels, &numbers(rng, input_len(&spec)));
        }
    }
}

#[test]
fn a_batch_gives_each_sample_the_bits_it_has_alone() {
    let rng = &mut fastrand::Rng::with_seed(34);
    for set in arch::sets() {
        let Some(kernels) = set.kernels() else {
            continue;
        };
        let mut specs = vec![branching()];
        specs.extend((0..50).map(|_| random_dag(rng)));
        for spec in specs {
            let input = numbers(rng, 3 * input_len(&spec));
            let together = outputs_of(&spec, kernels, 3, &input).pop();
            let alone: Vec<f32> = input
                .chunks(input_len(&spec))
                .flat_map(|sample| outputs_of(&spec, kernels, 1, sample).pop())
                .flatten()
                .collect();
            let together = together.expect("an output");
            assert_eq!(
                plain(&together),
                plain(&alone),
                "{} of {spec:?}",
                set.name()
            );
        }
    }
}

/// An operator, what it reads, and the shape that it writes.
type Part<'r> = (Operator<Owned>, &'r [usize], Shape);

/// The offsets of the tensors of `nodes` over vectors of eight.
fn offsets(nodes: Vec<Part<'_>>) -> Vec<u32> {
    let spec = graph(nodes);
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    model.tensors().iter().map(|tensor| tensor.offset).collect()
}

fn graph(nodes: Vec<Part<'_>>) -> GraphSpec {
    let mut graph = Builder::new("vectors", Shape::vector(8));
    for (operator, inputs, shape) in nodes {
        graph.add_as(operator, inputs, shape);
    }
    graph.finish()
}

const EIGHT: Shape = Shape::vector(8);

fn add(inputs: &[usize]) -> Part<'_> {
    let add = binary(BinaryFunction::Add, Activation::Identity);
    (add, inputs, EIGHT)
}

fn subtract(inputs: &[usize]) -> Part<'_> {
    let subtract = binary(BinaryFunction::Subtract, Activation::Identity);
    (subtract, inputs, EIGHT)
}

fn tanh(inputs: &[usize]) -> Part<'_> {
    (Unary::Tanh.into(), inputs, EIGHT)
}

#[test]
fn a_sum_takes_the_place_of_an_operand_that_nobody_else_reads() {
    // Both die here: the first one's place.
    let first = offsets(vec![tanh(&[0]), add(&[1, 0])]);
    assert_eq!(first[2], first[1]);
    assert_ne!(first[0], first[1], "tanh must leave its input alone");
    // The first is read again: the operands of a sum are exchanged, those of a difference cannot be.
    let exchanged = offsets(vec![tanh(&[0]), add(&[0, 1]), add(&[2, 0])]);
    assert_eq!(exchanged[2], exchanged[1]);
    let kept = offsets(vec![tanh(&[0]), subtract(&[0, 1]), add(&[2, 0])]);
    assert!(kept[2] != kept[1] && kept[2] != kept[0]);
    // Twice the same tensor is not written while it is read.
    let twice = offsets(vec![tanh(&[0]), subtract(&[1, 1])]);
    assert_ne!(twice[2], twice[1]);
}

#[test]
fn a_reshape_costs_no_memory() {
    let shape = Shape::new(2, 2, 2);
    let nodes: Vec<Part<'_>> = vec![
        tanh(&[0]),
        (Reshape.into(), &[1], shape),
        (Softmax.into(), &[2], shape),
    ];
    assert_eq!(offsets(nodes), [0; 4]);
}

#[test]
fn firmware_links_only_the_functions_it_names() {
    use kinglet::model::schema::bits;
    // Of the functions of one element, tanh.
    const OPS: u128 = bits::BINARY_F32 | 1 << 9;
    let spec = graph(vec![tanh(&[0]), add(&[1, 0])]);
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    assert_eq!(model.sizes().operators, OPS);
    let mut arena = HeapArena::new(model.sizes().arena);
    let mut session = Session::<OPS, _>::new(&model, &mut arena, Portable).expect("both are there");
    let input = [0.5, -1.0, 2.0, 0.0, 0.25, 8.0, -8.0, 1.5];
    session.set_input_f32(&input).expect("eight elements");
    let expected = interpreter::run(&spec, &input).pop().expect("an output");
    assert_eq!(bits_of(real(session.run())), bits_of(&expected.elements));
}

#[test]
fn what_cannot_be_joined_is_not_written() {
    let refused =
        |nodes: Vec<Part<'_>>| kinglet::model::encode(&graph(nodes)).expect_err("refused");
    let params = |node, reason| EncodeError::Refused(LoadError::Params { node, reason });
    let four = Shape::vector(4);
    let half = || -> Part<'_> {
        let (start, step) = ([0; 3], [1; 3]);
        (Slice { start, step }.into(), &[0], four)
    };
    let broadcast = ParamsError::Broadcast {
        operand: four,
        shape: EIGHT,
    };
    assert_eq!(refused(vec![half(), add(&[0, 1])]), params(1, broadcast));
    let axis = kinglet_kernels::Axis::Width;
    let concat = |inputs: &'static [usize]| -> Part<'_> {
        let joined = Shape::new(1, inputs.len(), 8);
        (Concat { axis }.into(), inputs, joined)
    };
    assert_eq!(
        refused(vec![half(), concat(&[0, 1])]),
        params(1, ParamsError::Concat)
    );
    let missing = EncodeError::Input { node: 0 };
    assert_eq!(refused(vec![concat(&[0; 5])]), missing);
    assert_eq!(refused(vec![concat(&[])]), missing);
    assert_eq!(refused(vec![add(&[0, 1])]), missing);
    let shape = EncodeError::Refused(LoadError::Shape { node: 0 });
    assert_eq!(refused(vec![add(&[0])]), shape);
    assert_eq!(refused(vec![tanh(&[0, 0])]), shape);
    let reshape: Part<'_> = (Reshape.into(), &[0], Shape::vector(9));
    assert_eq!(refused(vec![reshape]), shape);
    // What a node is said to write is what it writes.
    let (function, inputs, _) = tanh(&[0]);
    for wrong in [Shape::vector(9), Shape::new(8, 1, 1)] {
        assert_eq!(refused(vec![(function.clone(), inputs, wrong)]), shape);
    }
    assert_eq!(
        refused(vec![(Concat { axis }.into(), &[0, 0], Shape::vector(16))]),
        shape
    );
}

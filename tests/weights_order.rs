//! Files that are written for a machine: they are the same model, and compute the same everywhere.

use kinglet::model::schema::Operator;
use kinglet::model::{GraphSpec, Target, encode, encode_for, with_head};
use kinglet::operator::{InFile, WeightsInFile, WeightsOrder};
use kinglet::{AlignedBytes, LoadError, Model, SessionMemory};
use kinglet_kernels::{Kernels, Quantization, Shape, arch};
use kinglet_tests::builder::Builder;
use kinglet_tests::graphs::{input_len, numbers};
use kinglet_tests::numbers_of;
use kinglet_tests::quantized::{begins_quantized, quantized, random_quantized};
use kinglet_tests::seal::{open, seal};

/// The file of any machine, and that of `target`.
fn both(target: Target, spec: &GraphSpec) -> [AlignedBytes; 2] {
    let (generic, _) = encode(spec).expect("a sample graph is valid");
    let generic = AlignedBytes::from(&generic[..]);
    let model = Model::load(&generic).expect("a valid file");
    let aimed = encode_for(target, &model).expect("a valid file");
    let aimed = AlignedBytes::from(&aimed[..]);
    [generic, aimed]
}

/// The bits of the output.
fn output_of(file: &AlignedBytes, kernels: &dyn Kernels, input: &[f32]) -> Vec<u32> {
    let model = Model::load(file).expect("a valid file");
    let mut memory = SessionMemory::new(&model, &kernels, 1);
    let mut session = memory.session(&model, kernels).expect("its own memory");
    session.set_input_f32(input).expect("the right length");
    let output = numbers_of(session.run());
    output.into_iter().map(f32::to_bits).collect()
}

/// The weights of each 8-bit layer.
fn layers(file: &AlignedBytes) -> Vec<WeightsInFile<i8>> {
    let nodes = open(file).graph.nodes.into_iter();
    let layers = nodes.filter_map(|node| match node.operator {
        Operator::<InFile>::QuantizedConv2d(conv) => Some(conv.layer.weights),
        Operator::QuantizedLinear(linear) => Some(linear.layer.weights),
        _ => None,
    });
    layers.collect()
}

#[test]
fn every_set_gives_the_same_numbers_from_every_file() {
    let rng = &mut fastrand::Rng::with_seed(91);
    let mut in_pairs = 0;
    for _ in 0..400 {
        let spec = random_quantized(rng);
        let [generic, cortex_m] = both(Target::CortexM, &spec);
        if generic[..] == cortex_m[..] {
            continue;
        }
        in_pairs += 1;
        let input = numbers(rng, input_len(&spec));
        for set in arch::sets().iter().filter_map(|set| set.kernels()) {
            let expected = output_of(&generic, set, &input);
            let found = output_of(&cortex_m, set, &input);
            assert_eq!(found, expected, "{} of {spec:?}", set.name());
        }
    }
    assert!(in_pairs > 100, "{in_pairs}");
}

#[test]
fn a_file_written_for_a_machine_is_the_same_model() {
    let rng = &mut fastrand::Rng::with_seed(92);
    for spec in std::iter::once(quantized()).chain((0..50).map(|_| random_quantized(rng))) {
        let [generic, cortex_m] = both(Target::CortexM, &spec);
        let [one, other] = [&generic, &cortex_m].map(|file| Model::load(file).expect("valid"));
        assert_eq!(one.id(), other.id());
        assert_eq!(one.sizes().arena, other.sizes().arena);
        let again = encode_for(Target::Generic, &other).expect("a valid file");
        assert_eq!(again, generic[..]);
        let again = encode_for(Target::CortexM, &other).expect("a valid file");
        assert_eq!(again, cortex_m[..]);
        assert_eq!(Target::of(&one), Target::Generic);
        assert_eq!(
            Target::of(&other) == Target::CortexM,
            generic[..] != cortex_m[..]
        );
    }
}

#[test]
fn a_learned_head_leaves_the_body_as_it_was_written() {
    let [generic, cortex_m] = both(Target::CortexM, &begins_quantized());
    assert_eq!(layers(&generic).len(), 1);
    let model = Model::load(&cortex_m).expect("a valid file");
    let head: Vec<f32> = (0..model.sizes().trainable_parameters)
        .map(|i| i as f32)
        .collect();
    let learned = with_head(&model, &head).expect("as long as it should be");
    let learned = AlignedBytes::from(&learned[..]);
    assert_eq!(layers(&learned), layers(&cortex_m));
    assert_eq!(layers(&learned)[0].order, WeightsOrder::PAIRS);
    let input = numbers(&mut fastrand::Rng::with_seed(93), model.sizes().input_len);
    let learned_generic = with_head(&Model::load(&generic).expect("valid"), &head);
    let learned_generic = AlignedBytes::from(&learned_generic.expect("as long")[..]);
    let kernels: &dyn Kernels = arch::detect();
    assert_eq!(
        output_of(&learned, kernels, &input),
        output_of(&learned_generic, kernels, &input)
    );
}

/// A linear layer of six features and `rows` rows.
fn six_to(rows: usize) -> GraphSpec {
    let rng = &mut fastrand::Rng::with_seed(94);
    let input = kinglet::model::TensorSpec::quantized(Shape::vector(6), Quantization::new(0.1, 0));
    let mut graph = Builder::new("six", input);
    graph.linear_i8(rng, 0, rows);
    graph.finish()
}

#[test]
fn pairs_have_rows_and_groups_of_zeros_where_there_are_none() {
    let [generic, cortex_m] = both(Target::CortexM, &six_to(3));
    let (rows, pairs) = (open(&generic).weights, open(&cortex_m).weights);
    // Three rows of six, and two pairs of eight.
    let row = |row: usize, column: usize| rows[6 * row + column] as i8;
    let halves: Vec<i16> = pairs[..32]
        .chunks(2)
        .map(|bytes| i16::from_le_bytes([bytes[0], bytes[1]]))
        .collect();
    for (at, half) in halves.iter().enumerate() {
        let (pair, column) = (at / 8, at % 8 / 4 * 4 + [0, 2, 1, 3][at % 4]);
        let number = |row_number: usize| match (row_number, column) {
            (..3, ..6) => i16::from(row(row_number, column)),
            _ => 0,
        };
        let expected = 256 * number(2 * pair + 1) + number(2 * pair);
        assert_eq!(*half, expected, "pair {pair}, column {column}");
    }
    // Two rows are not worth it.
    let [generic, cortex_m] = both(Target::CortexM, &six_to(2));
    assert_eq!(generic[..], cortex_m[..]);
}

#[test]
fn pairs_that_end_beyond_the_weights_are_refused() {
    let [_, cortex_m] = both(Target::CortexM, &six_to(3));
    let mut file = open(&cortex_m);
    let len = file.weights.len() as u32;
    let Operator::QuantizedLinear(linear) = &mut file.graph.nodes[0].operator else {
        panic!("a linear layer");
    };
    linear.layer.weights.offset = kinglet::operator::Offset::new(len / 16 * 16);
    let sealed = AlignedBytes::from(&seal(&file)[..]);
    let refused = Model::load(&sealed).map(|_| ()).expect_err("too short");
    assert_eq!(refused, LoadError::Weights { node: 0 });
}

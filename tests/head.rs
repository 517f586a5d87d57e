//! The trained head: saved, loaded, damaged, reset, and exported as a model of its own.

use kinglet::model::{EncodeError, with_head};
use kinglet::{
    Adam, AlignedBytes, AnySession, FineTuner, HeadError, HeapArena, Model, ModelId, Optimizer, Sgd,
};
use kinglet_kernels::Portable;
use kinglet_tests::graphs::{file, input_len, numbers, tiny};
use kinglet_tests::interpreter;
use kinglet_tests::naive::{Naive, NaiveAdam};
use kinglet_tests::suffixes::{Tuner, features, learn_a_little, suffixes, with_tuner};
use kinglet_tests::{bits_of, real};

#[test]
fn reset_goes_back_to_the_start() {
    let fresh = with_tuner(&tiny(), Adam::new(0.01), |mut tuner| {
        learn_a_little(&mut tuner, 36);
        bits_of(tuner.weights())
    });
    with_tuner(&tiny(), Adam::new(0.01), |mut tuner| {
        let factory = bits_of(tuner.weights());
        learn_a_little(&mut tuner, 37);
        assert_ne!(bits_of(tuner.weights()), factory);
        tuner.reset();
        assert_eq!(bits_of(tuner.weights()), factory);
        assert_eq!(tuner.steps(), 0);
        // The optimizer's state is gone too.
        learn_a_little(&mut tuner, 36);
        assert_eq!(bits_of(tuner.weights()), fresh);
    });
}

fn saved_head<O: Optimizer>(tuner: &Tuner<'_, O>) -> Vec<u8> {
    let mut head = vec![0xaa; tuner.head_len() + 5];
    let written = tuner.save_head(&mut head).expect("large enough");
    assert_eq!(written, tuner.head_len());
    assert_eq!(
        head[written..],
        [0xaa; 5],
        "nothing is written behind the head"
    );
    head.truncate(written);
    head
}

#[test]
fn a_head_is_saved_and_loaded() {
    let (head, weights, id) = with_tuner(&tiny(), Sgd::new(0.1, 0.9), |mut tuner| {
        learn_a_little(&mut tuner, 38);
        (
            saved_head(&tuner),
            tuner.weights().to_vec(),
            tuner.model().id(),
        )
    });
    // The layout is that of FORMAT.md.
    assert_eq!(head.len(), 32 + 4 * 27);
    assert_eq!(head[..4], *b"kgh1");
    assert_eq!(head[4..20], id.0);
    assert_eq!(head[20..24], 27u32.to_le_bytes());
    assert_eq!(head[24..28], 8u32.to_le_bytes());
    for (bytes, weight) in head[28..].chunks(4).zip(&weights) {
        assert_eq!(bytes, weight.to_le_bytes());
    }

    with_tuner(&tiny(), Sgd::new(0.1, 0.9), |mut tuner| {
        learn_a_little(&mut tuner, 39);
        tuner.load_head(&head).expect("of this model");
        assert_eq!(bits_of(tuner.weights()), bits_of(&weights));
        assert_eq!(tuner.steps(), 8);
        assert_eq!(saved_head(&tuner), head);
        // A longer buffer, as flash pages are, is fine.
        let mut page = head.clone();
        page.resize(512, 0xff);
        assert_eq!(tuner.load_head(&page), Ok(()));
    });
}

#[test]
fn learning_goes_on_from_a_loaded_head_with_a_new_optimizer() {
    let adam = Adam::new(0.01);
    let head = with_tuner(&tiny(), adam, |mut tuner| {
        learn_a_little(&mut tuner, 40);
        saved_head(&tuner)
    });
    let input = numbers(&mut fastrand::Rng::with_seed(41), 16);
    with_tuner(&tiny(), adam, |mut tuner| {
        learn_a_little(&mut tuner, 42);
        tuner.load_head(&head).expect("of this model");
        let mut naive = Naive::of(&tiny());
        naive.set_weights(tuner.weights());
        let (_, gradients) = naive.gradients(&features(&tiny(), &input), 2);
        let mut weights = naive.weights();
        let mut first_step = NaiveAdam::new(adam, weights.len());
        for (index, (w, g)) in weights.iter_mut().zip(gradients).enumerate() {
            first_step.update(1, index, w, g);
        }
        tuner.set_input_f32(&input).expect("16 elements");
        tuner.step(2).expect("a finite loss");
        assert_eq!(bits_of(tuner.weights()), bits_of(&weights));
        assert_eq!(tuner.steps(), 9, "steps are counted through");
    });
}

#[test]
fn a_damaged_head_is_refused_and_the_head_stays() {
    let head = with_tuner(&tiny(), Sgd::new(0.1, 0.9), |mut tuner| {
        learn_a_little(&mut tuner, 43);
        saved_head(&tuner)
    });
    with_tuner(&tiny(), Sgd::new(0.1, 0.9), |mut tuner| {
        learn_a_little(&mut tuner, 44);
        let before = bits_of(tuner.weights());
        let mut refuse = |bytes: &[u8]| {
            let refused = tuner.load_head(bytes).expect_err("damaged");
            assert_eq!(bits_of(tuner.weights()), before);
            assert_eq!(tuner.steps(), 8);
            refused
        };
        for position in 0..head.len() {
            for bit in 0..8 {
                let mut damaged = head.clone();
                damaged[position] ^= 1 << bit;
                let refused = refuse(&damaged);
                match position {
                    0..4 => assert_eq!(refused, HeadError::NotAHead),
                    4..20 => assert!(matches!(refused, HeadError::OtherModel { .. })),
                    _ => assert_eq!(refused, HeadError::Crc),
                }
            }
        }
        for length in 0..head.len() {
            assert_eq!(
                refuse(&head[..length]),
                HeadError::NotAHead,
                "{length} bytes"
            );
        }
        assert_eq!(refuse(&[0xff; 512]), HeadError::NotAHead, "erased flash");
        assert_eq!(tuner.load_head(&head), Ok(()));
    });
}

#[test]
fn a_head_of_another_model_is_refused() {
    let mut other = tiny();
    other.inputs[0].mean = vec![0.25];
    let (head, id): (Vec<u8>, ModelId) = with_tuner(&other, Sgd::new(0.1, 0.9), |tuner| {
        (saved_head(&tuner), tuner.model().id())
    });
    with_tuner(&tiny(), Sgd::new(0.1, 0.9), |mut tuner| {
        let refused = HeadError::OtherModel { found: id };
        assert_eq!(tuner.load_head(&head), Err(refused));
        assert_eq!(
            refused.to_string(),
            format!("the head belongs to another model, {id}")
        );
        let needed = tuner.head_len();
        let found = needed - 1;
        let mut short = vec![0; found];
        let refused = Err(HeadError::BufferTooSmall { needed, found });
        assert_eq!(tuner.save_head(&mut short), refused);
        assert_eq!(short, vec![0; found], "nothing was written");
    });
}

#[test]
fn a_head_goes_with_every_file_of_one_computation() {
    let mut renamed = tiny();
    renamed.name = "renamed".into();
    renamed.outputs[0].labels.clear();
    let head = with_tuner(&renamed, Sgd::new(0.1, 0.9), |mut tuner| {
        learn_a_little(&mut tuner, 47);
        saved_head(&tuner)
    });
    with_tuner(&tiny(), Sgd::new(0.1, 0.9), |mut tuner| {
        assert_eq!(tuner.load_head(&head), Ok(()));
        assert_eq!(saved_head(&tuner), head);
    });
}

#[test]
fn a_trained_head_becomes_a_model_of_its_own() {
    for (name, spec) in suffixes() {
        let file = file(&spec);
        let model = Model::load(&file).expect("a valid file");
        let mut arena = HeapArena::new(model.sizes().arena);
        let mut training = HeapArena::new(model.sizes().training::<Sgd>());
        let session = AnySession::new(&model, &mut arena, Portable).expect("fits");
        let mut tuner = FineTuner::new(session, &mut training, Sgd::new(0.05, 0.9)).expect("fits");
        let rng = &mut fastrand::Rng::with_seed(45);
        for _ in 0..5 {
            tuner
                .set_input_f32(&numbers(rng, input_len(&spec)))
                .expect("the length");
            tuner.step(1).expect("a finite loss");
        }

        let trained = with_head(&model, tuner.weights()).expect("as many parameters");
        let trained = AlignedBytes::from(trained.as_slice());
        let trained = Model::load(&trained).expect("a valid file");
        assert_eq!(trained.parent(), Some(model.id()), "{name}");
        assert_eq!(model.parent(), None, "{name}");
        assert_ne!(trained.id(), model.id(), "{name}");
        assert_eq!(trained.sizes(), model.sizes(), "{name}");
        let mut arena = HeapArena::new(trained.sizes().arena);
        let mut session = AnySession::new(&trained, &mut arena, Portable).expect("fits");
        for _ in 0..5 {
            let input = numbers(rng, input_len(&spec));
            session.set_input_f32(&input).expect("the right length");
            tuner.set_input_f32(&input).expect("the right length");
            assert_eq!(bits_of(real(session.run())), bits_of(tuner.run()), "{name}");
        }

        // The session that comes back has the factory head.
        let input = numbers(rng, input_len(&spec));
        let expected = interpreter::run(&spec, &input).pop().expect("an output");
        let short = &tuner.weights()[1..];
        let refused = EncodeError::Parameters {
            node: spec.nodes.len() - spec.trainable_nodes,
            expected: short.len() + 1,
            found: short.len(),
        };
        assert_eq!(with_head(&model, short), Err(refused));
        let mut session = tuner.into_session();
        session.set_input_f32(&input).expect("the right length");
        assert_eq!(
            bits_of(real(session.run())),
            bits_of(&expected.elements),
            "{name}"
        );
    }
}

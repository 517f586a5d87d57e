//! A model inside a host program: embedded at compile time, in a static arena, on the kernel set of this
//! machine, against the same file loaded at run time. And what may go to other threads.

use kinglet::{
    AlignedBytes, AnySession, FineTuner, Model, OwnedModel, OwnedSession, Session, SessionMemory,
    Sgd,
};
use kinglet_kernels::{Kernels, Portable, arch};
use kinglet_tests::graphs::{every_operator, file, input_len, numbers, pixels};
use kinglet_tests::{bits_of, real};

kinglet::model!(
    tiny = "data/tiny.kgl",
    optimizer: kinglet::Sgd,
    shadow: true
);

#[test]
fn an_embedded_model_runs_and_learns_like_a_loaded_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/tiny.kgl");
    let loaded = std::fs::read(path).expect("the sample file");
    assert_eq!(tiny::FILE.bytes, loaded);
    let loaded = AlignedBytes::from(loaded.as_slice());
    let loaded = Model::load(&loaded).expect("a valid file");
    assert_eq!(tiny::SIZES, loaded.sizes());

    let session: tiny::Session = tiny::session(Portable).expect("the arena is the model's own");
    let again = tiny::session(Portable).map(|_| ());
    assert_eq!(again, Err(kinglet::Error::Taken));
    let tuner: Result<tiny::FineTuner, _> = tiny::fine_tuner(session, Sgd::new(0.05, 0.9));
    let mut tuner = tuner.expect("its memory, too");
    assert_eq!(tuner.keep_head(), Ok(()));

    let kernels = Portable;
    let mut memory = SessionMemory::new(&loaded, &kernels, 1);
    let mut training = kinglet::HeapArena::new(loaded.sizes().training::<Sgd>());
    let session = memory.session(&loaded, kernels).expect("it fits");
    let mut other = FineTuner::new(session, &mut training, Sgd::new(0.05, 0.9)).expect("it fits");

    let rng = &mut fastrand::Rng::with_seed(3);
    for _ in 0..20 {
        let pixels = pixels(rng, 16);
        let class = rng.usize(0..3);
        for tuner_step in [
            tuner.set_image_u8(&pixels).map(|()| tuner.step(class)),
            other.set_image_u8(&pixels).map(|()| other.step(class)),
        ] {
            tuner_step.expect("16 pixels").expect("a finite loss");
        }
        tuner.set_image_u8(&pixels).expect("16 pixels");
        other.set_image_u8(&pixels).expect("16 pixels");
        assert_eq!(bits_of(tuner.run()), bits_of(other.run()));
    }
    assert_eq!(bits_of(tuner.weights()), bits_of(other.weights()));
}

/// Compiles for types that may go to other threads.
const fn goes_to_other_threads<T: Send>() {}

const _: () = {
    goes_to_other_threads::<Session<'static, 0, Portable>>();
    goes_to_other_threads::<AnySession<'static, &'static dyn Kernels>>();
    goes_to_other_threads::<FineTuner<'static, 0, Portable, Sgd>>();
    goes_to_other_threads::<SessionMemory>();
    goes_to_other_threads::<OwnedModel>();
    goes_to_other_threads::<OwnedSession>();
    // A reference may go where a value may be shared.
    goes_to_other_threads::<&Model<'static>>();
};

#[test]
fn sessions_on_threads_share_one_model() {
    let spec = every_operator();
    let bytes = file(&spec);
    let model = &Model::load(&bytes).expect("a valid file");
    let inputs: Vec<Vec<f32>> = (0..8)
        .map(|seed| numbers(&mut fastrand::Rng::with_seed(seed), input_len(&spec)))
        .collect();
    for set in arch::sets().iter().filter_map(|set| set.kernels()) {
        let run_all = || -> Vec<Vec<u32>> {
            let mut memory = SessionMemory::new(model, &set, 1);
            let mut session = memory.session(model, set).expect("it fits");
            let run = |input: &Vec<f32>| {
                session.set_input_f32(input).expect("the right length");
                bits_of(real(session.run()))
            };
            inputs.iter().map(run).collect()
        };
        let expected = run_all();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run_all)).collect();
            for thread in threads {
                let found = thread.join().expect("no panic");
                assert_eq!(found, expected, "{}", set.name());
            }
        });
    }
}

#[test]
fn a_session_moves_to_another_thread() {
    let model = Model::load(&tiny::FILE.bytes).expect("a valid file");
    let mut memory = SessionMemory::new(&model, &Portable, 1);
    let mut session = memory.session(&model, Portable).expect("it fits");
    session.set_input_f32(&[0.5; 16]).expect("the right length");
    let here = bits_of(real(session.run()));
    session.set_input_f32(&[0.5; 16]).expect("the right length");
    std::thread::scope(|scope| {
        let there = scope.spawn(move || bits_of(real(session.run())));
        assert_eq!(there.join().expect("no panic"), here);
    });
}

#[test]
fn owned_sessions_outlive_what_made_them_and_share_a_model() {
    let handles: Vec<OwnedSession> = {
        let model = OwnedModel::load(&tiny::FILE.bytes).expect("a valid file");
        let make = |batch| OwnedSession::new(&model, arch::detect(), batch).expect("some samples");
        vec![make(1), make(3), make(1)]
    };
    let model = Model::load(&tiny::FILE.bytes).expect("a valid file");
    let kernels = arch::detect();
    for mut session in handles {
        let batch = session.with(|session| session.batch());
        let pixels = pixels(&mut fastrand::Rng::with_seed(4), batch * 16);
        let mut memory = SessionMemory::new(&model, &kernels, batch);
        let mut other = memory.session(&model, kernels).expect("it fits");
        let expected = bits_of(real(other.run_image_u8(&pixels).expect("all pixels")));
        let there = std::thread::spawn(move || {
            let output = bits_of(real(session.run_image_u8(&pixels).expect("all pixels")));
            assert_eq!(
                session.output(0).map(real).map(bits_of),
                Some(output.clone())
            );
            assert!(session.run_image_u8(&[]).is_err());
            (output, session)
        });
        let (found, session) = there.join().expect("no panic");
        assert_eq!(found, expected);
        assert_eq!(session.model().get().id(), model.id());
        let shown = format!("{session:?}");
        assert!(
            shown.contains(&model.id().to_string()) || shown.contains("ModelId"),
            "{shown}"
        );
    }
    let damaged = vec![0_u8; 200];
    assert!(OwnedModel::load(damaged).is_err());
    let model = OwnedModel::load(&tiny::FILE.bytes).expect("a valid file");
    let refused = OwnedSession::new(&model, &Portable, 0).map(|_| ());
    assert_eq!(refused, Err(kinglet::SessionError::EmptyBatch));
}

#[test]
fn a_run_in_steps_is_a_run() {
    let file = file(&every_operator());
    let model = Model::load(&file).expect("a valid file");
    let mut memory = SessionMemory::new(&model, &Portable, 1);
    let mut session = memory.session(&model, Portable).expect("it fits");
    let input = numbers(
        &mut fastrand::Rng::with_seed(5),
        input_len(&every_operator()),
    );
    session.set_input_f32(&input).expect("the right length");
    let whole = bits_of(real(session.run()));
    session.set_input_f32(&input).expect("the right length");
    let nodes: Vec<usize> = session.steps().collect();
    assert_eq!(nodes, (0..model.nodes().len()).collect::<Vec<_>>());
    assert_eq!(session.output(0).map(real).map(bits_of), Some(whole));
}

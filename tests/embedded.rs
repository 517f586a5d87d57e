//! A model inside a host program: embedded at compile time, in a static arena, on the kernel set of this
//! machine, against the same file loaded at run time. And what may go to other threads.

use kinglet::{
    Aligned, AlignedBytes, AnySession, Arena, FineTuner, Model, Session, SessionMemory, Sgd, Sizes,
    include_model, workspace_len,
};
use kinglet_kernels::{BackwardKernels, Portable, arch};
use kinglet_tests::graphs::{every_operator, file, input_len, numbers, pixels};
use kinglet_tests::{bits_of, real};
use static_cell::ConstStaticCell;

static MODEL: &Aligned = include_model!("data/tiny.kgl");
const SIZES: Sizes = Sizes::of(MODEL);
static ARENA: ConstStaticCell<Arena<{ SIZES.arena }>> = ConstStaticCell::new(Arena::new());
static TRAINING: ConstStaticCell<Arena<{ SIZES.training::<Sgd>() }>> =
    ConstStaticCell::new(Arena::new());

#[test]
fn an_embedded_model_runs_and_learns_like_a_loaded_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/tiny.kgl");
    let loaded = std::fs::read(path).expect("the sample file");
    assert_eq!(MODEL.bytes, loaded);
    let loaded = AlignedBytes::from(loaded.as_slice());
    let loaded = Model::load(&loaded).expect("a valid file");
    assert_eq!(SIZES, loaded.sizes());

    let kernels = arch::detect();
    let embedded = Model::load(&MODEL.bytes).expect("a valid file");
    let mut workspace = vec![f32::NAN; workspace_len(&embedded, &kernels)];
    let session = Session::<{ SIZES.operators }, _>::with_workspace(
        &embedded,
        ARENA.take(),
        kernels,
        1,
        &mut workspace,
    )
    .expect("the arena is the model's own");
    let mut tuner = FineTuner::new(session, TRAINING.take(), Sgd::new(0.05, 0.9)).expect("it fits");

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
    goes_to_other_threads::<AnySession<'static, &'static dyn BackwardKernels>>();
    goes_to_other_threads::<FineTuner<'static, 0, Portable, Sgd>>();
    goes_to_other_threads::<SessionMemory>();
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
    let model = Model::load(&MODEL.bytes).expect("a valid file");
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

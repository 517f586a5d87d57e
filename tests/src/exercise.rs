//! Doing with a file of unknown origin whatever a program could do with it: load, run, learn, save. None of
//! it may panic. Shared by the tests of hostile files and the fuzz targets.

use kinglet::model::schema::Operator;
use kinglet::{AlignedBytes, AnySession, FineTuner, HeapArena, LoadError, Model, Sgd};
use kinglet_kernels::Portable;

/// Largest arena that is made for a file of unknown origin.
const MAX_ARENA: usize = 4 << 20;

/// Most elementary steps (window positions times outputs) that a file of unknown origin may cost.
const MAX_WORK: u64 = 1 << 20;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was refused.
    Refused(LoadError),
    /// It was loaded, but would take more memory or time to run than a test has.
    TooLarge,
    /// It was loaded and run.
    Run,
    /// It was loaded, run and trained.
    Trained,
}

/// Loads `bytes` and, if they are a model of a modest size, runs it, takes a training step, and saves and
/// loads the head.
///
/// # Panics
/// If a promise of the runtime is broken.
pub fn exercise(bytes: &[u8]) -> Outcome {
    let file = AlignedBytes::from(bytes);
    let model = match Model::load(&file) {
        Ok(model) => model,
        Err(reason) => {
            assert!(!reason.to_string().is_empty());
            return Outcome::Refused(reason);
        }
    };
    let sizes = model.sizes();
    let training = sizes.training::<Sgd>();
    if sizes.arena > MAX_ARENA || training > MAX_ARENA || work(&model) > MAX_WORK {
        return Outcome::TooLarge;
    }
    let mut arena = HeapArena::new(sizes.arena);
    let mut session = AnySession::new(&model, &mut arena, Portable)
        .expect("the arena has the size that it asks for");
    let pixels = vec![128; sizes.input_len];
    session.set_image_u8(&pixels).expect("as many as it says");
    assert_eq!(session.run().len(), sizes.output_len);

    let mut training = HeapArena::new(training);
    let Ok(mut tuner) = FineTuner::new(session, &mut training, Sgd::new(0.01, 0.9)) else {
        assert_eq!(sizes.trainable_parameters, 0);
        return Outcome::Run;
    };
    tuner.set_image_u8(&pixels).expect("as many as it says");
    assert_eq!(tuner.run().len(), sizes.output_len);
    tuner.set_image_u8(&pixels).expect("as many as it says");
    // Whatever the weights are, the loss may be infinite: that is an error, not a panic.
    let _ = tuner.step(0);
    let mut head = vec![0; sizes.head];
    assert_eq!(tuner.save_head(&mut head), Ok(sizes.head));
    assert_eq!(tuner.load_head(&head), Ok(()));
    Outcome::Trained
}

/// How long a model may take to run: for each node the elements of its output times those it reads for each.
pub fn work(model: &Model<'_>) -> u64 {
    let tensors: Vec<_> = model.tensors().iter().collect();
    let mut work = 0u64;
    for (index, node) in model.nodes().iter().enumerate() {
        let input = tensors[usize::from(node.inputs[0])].shape;
        let window = match node.operator {
            Operator::Conv2dF32 { window, .. } | Operator::Conv2dI8 { window, .. } => {
                window.kernel_h * window.kernel_w * input.channels
            }
            Operator::Conv2dMaxPool2dF32 { window, pool, .. } => {
                (window.kernel_h * window.kernel_w * input.channels)
                    .saturating_mul(pool.kernel_h * pool.kernel_w)
            }
            Operator::LinearF32 { .. } | Operator::LinearI8 { .. } => input.len(),
            Operator::MaxPool2dF32 { window, .. }
            | Operator::AvgPool2dF32 { window, .. }
            | Operator::MaxPool2dI8 { window, .. }
            | Operator::AvgPool2dI8 { window, .. } => window.kernel_h * window.kernel_w,
            _ => 1,
        };
        let output = tensors[index + 1].shape.len() as u64;
        work = work.saturating_add(output.saturating_mul(window as u64));
    }
    work
}

//! Doing with a file of unknown origin whatever a program could do with it: load, run, learn, save. None of
//! it may panic. Shared by the tests of hostile files and the fuzz targets.

use kinglet::model::schema::Operator;
use kinglet::{AlignedBytes, AnySession, FineTuner, HeadError, HeapArena, LoadError, Model, Sgd};
use kinglet_kernels::{Portable, Shape, Window};

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
    let inputs = model.tensors().iter().take(model.inputs().len());
    for (index, tensor) in inputs.enumerate().skip(1) {
        let input = session.input_mut(index).expect("as many as it says");
        let numbers = vec![0.5; tensor.shape.len()];
        input.set_f32(&numbers).expect("as many as it says");
    }
    assert_eq!(session.run().len(), sizes.output_len);
    for (index, tensor) in model.output_tensors().enumerate() {
        let output = session.output(index).expect("as many as it says");
        assert_eq!(output.iter().count(), tensor.shape.len());
    }
    assert_eq!(session.input_mut(model.inputs().len()), None);
    assert_eq!(session.output(model.outputs().len()), None);

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
    // Nor is a head of any weights one to keep.
    match tuner.weights().iter().all(|w| w.is_finite()) {
        true => {
            assert_eq!(tuner.save_head(&mut head), Ok(sizes.head));
            assert_eq!(tuner.load_head(&head), Ok(()));
        }
        false => assert_eq!(tuner.save_head(&mut head), Err(HeadError::NotFinite)),
    }
    Outcome::Trained
}

/// How long a model may take to run: for each node the elements of its output times those it reads for each.
pub fn work(model: &Model<'_>) -> u64 {
    let tensors: Vec<_> = model.tensors().iter().collect();
    let outputs = tensors.iter().skip(model.inputs().len());
    let mut work = 0u64;
    for (node, output) in model.nodes().iter().zip(outputs) {
        let input = tensors[usize::from(node.inputs[0])].shape;
        let reads = reads(&node.operator, input);
        let output = output.shape.len() as u64;
        work = work.saturating_add(output.saturating_mul(reads as u64));
    }
    work
}

/// How many elements of `input` an element of the output is computed from, at most.
fn reads(operator: &Operator, input: Shape) -> usize {
    let window = |window: &Window| window.kernel_h * window.kernel_w;
    match operator {
        Operator::Conv2d(conv) => window(&conv.window) * input.channels,
        Operator::QuantizedConv2d(conv) => window(&conv.window) * input.channels,
        Operator::Conv2dMaxPool2d(joined) => {
            let conv = window(&joined.conv.window) * input.channels;
            conv.saturating_mul(window(&joined.pool))
        }
        Operator::Linear(_) | Operator::QuantizedLinear(_) => input.len(),
        Operator::MaxPool2d(pool) => window(&pool.window),
        Operator::AvgPool2d(pool) => window(&pool.window),
        _ => 1,
    }
}

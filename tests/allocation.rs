//! Loading, running and learning allocate nothing: not the first time, and not later.

use allocation_counter::{AllocationInfo, measure};
use kinglet::{AnySession, FineTuner, HeapArena, Model, Sgd, arena_len};
use kinglet_kernels::{Portable, arch};
use kinglet_tests::graphs::{every_operator, file, tiny};
use kinglet_tests::quantized::{quantized, whole_i8};
use kinglet_tests::{real, real_input};

/// Runs `f` and fails if it allocates, reallocates or frees anything in this thread.
fn nothing_allocated<T>(what: &str, f: impl FnOnce() -> T) -> T {
    let mut result = None;
    let AllocationInfo {
        count_total,
        bytes_total,
        count_current,
        ..
    } = measure(|| result = Some(f()));
    assert_eq!(
        (count_total, bytes_total, count_current),
        (0, 0, 0),
        "{what}"
    );
    result.expect("f was called")
}

#[test]
fn the_counter_counts() {
    let info = measure(|| {
        std::hint::black_box(vec![1u8; 1000]);
    });
    assert_eq!(info.count_total, 1);
    assert_eq!(info.bytes_total, 1000);
}

#[test]
fn nothing_from_load_to_saved_head_allocates() {
    for spec in [tiny(), every_operator(), quantized()] {
        let file = file(&spec);
        let model = nothing_allocated("load", || Model::load(&file)).expect("a valid file");
        let sizes = model.sizes();
        let mut arena = HeapArena::new(sizes.arena);
        let mut training = HeapArena::new(sizes.training::<Sgd>());
        let mut head = vec![0; sizes.head];
        let pixels = vec![100; sizes.input_len];

        let mut session =
            nothing_allocated("session", || AnySession::new(&model, &mut arena, Portable))
                .expect("fits");
        for _ in 0..3 {
            nothing_allocated("set_image_u8", || session.set_image_u8(&pixels))
                .expect("the length");
            nothing_allocated("run", || assert!(real(session.run())[0].is_finite()));
        }

        let mut tuner = nothing_allocated("tuner", || {
            FineTuner::new(session, &mut training, Sgd::new(0.01, 0.9))
        })
        .expect("fits");
        for _ in 0..3 {
            tuner.set_image_u8(&pixels).expect("the length");
            nothing_allocated("step", || tuner.step(1)).expect("a finite loss");
            tuner.set_image_u8(&pixels).expect("the length");
            nothing_allocated("run", || assert!(tuner.run()[0].is_finite()));
        }
        nothing_allocated("save_head", || tuner.save_head(&mut head)).expect("large enough");
        nothing_allocated("load_head", || tuner.load_head(&head)).expect("of this model");
        head[30] ^= 1;
        nothing_allocated("refusal", || tuner.load_head(&head)).expect_err("damaged");
        nothing_allocated("reset", || tuner.reset());
    }
}

#[test]
fn nothing_allocates_where_all_numbers_have_8_bits() {
    let file = file(&whole_i8());
    let model = nothing_allocated("load", || Model::load(&file)).expect("a valid file");
    let mut arena = HeapArena::new(model.sizes().arena);
    let mut session = AnySession::new(&model, &mut arena, Portable).expect("fits");
    nothing_allocated("set", || {
        session.set_image_u8(&[0, 255]).expect("the length");
        session.set_input_f32(&[1.0, -1.0]).expect("the length");
        session.set_input_i8(&[1, -1]).expect("the length");
    });
    nothing_allocated("run", || {
        let output = session.run();
        assert_eq!(output.iter().count(), output.len());
        assert!(output.argmax().is_some());
    });
}

#[test]
fn no_kernel_set_allocates_while_it_runs() {
    let file = file(&every_operator());
    let model = Model::load(&file).expect("a valid file");
    for set in arch::sets() {
        let Some(kernels) = set.kernels() else {
            continue;
        };
        let mut arena = HeapArena::new(arena_len(&model, &kernels, 3));
        let mut session = nothing_allocated(set.name(), || {
            AnySession::with_batch(&model, &mut arena, kernels, 3)
        })
        .expect("fits");
        for _ in 0..2 {
            real_input(&mut session).fill(0.25);
            nothing_allocated(set.name(), || {
                assert!(real(session.run())[0].is_finite());
            });
        }
    }
}

#[test]
fn refusing_a_file_allocates_nothing() {
    let mut file = file(&tiny()).to_vec();
    file[150] ^= 1;
    let file = kinglet::AlignedBytes::from(file.as_slice());
    nothing_allocated("load", || Model::load(&file).map(|_| ())).expect_err("damaged");
}

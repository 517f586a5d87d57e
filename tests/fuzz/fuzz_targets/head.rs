//! Any bytes as a saved head, as they are and with the model's id and a CRC that fits: they are taken over
//! whole, or refused and the head stays.
#![no_main]

use std::sync::OnceLock;

use kinglet::{AlignedBytes, AnySession, FineTuner, HeadError, HeapArena, Model, Sgd};
use kinglet_kernels::Portable;
use kinglet_tests::bits_of;
use kinglet_tests::graphs::{file, tiny};
use libfuzzer_sys::fuzz_target;

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

fuzz_target!(|data: &[u8]| {
    static FILE: OnceLock<AlignedBytes> = OnceLock::new();
    let model = Model::load(FILE.get_or_init(|| file(&tiny()))).expect("a sample graph is valid");
    let mut arena = HeapArena::new(model.sizes().arena);
    let mut training = HeapArena::new(model.sizes().training::<Sgd>());
    let session = AnySession::new(&model, &mut arena, Portable).expect("fits");
    let mut tuner = FineTuner::new(session, &mut training, Sgd::new(0.1, 0.9)).expect("fits");

    let mut try_head = |bytes: &[u8]| {
        let before = bits_of(tuner.weights());
        let outcome = tuner.load_head(bytes);
        if outcome.is_err() {
            assert_eq!(bits_of(tuner.weights()), before);
            return outcome;
        }
        // Whatever the weights are now, nothing panics, and they stay numbers.
        tuner.set_image_u8(&[9; 16]).expect("16 pixels");
        let _ = tuner.step(0);
        assert!(tuner.weights().iter().all(|w| w.is_finite()));
        tuner.reset();
        outcome
    };
    let _ = try_head(data);

    let mut head = data.to_vec();
    head.resize(model.sizes().head, 0);
    head[..4].copy_from_slice(b"kgh1");
    head[4..20].copy_from_slice(&model.id().0);
    let end = head.len() - 4;
    let crc = CRC.checksum(&head[..end]).to_le_bytes();
    head[end..].copy_from_slice(&crc);
    let right_count = head[20..24] == 27u32.to_le_bytes();
    let (parameters, _) = head[28..end].as_chunks::<4>();
    let mut parameters = parameters.iter().map(|word| f32::from_le_bytes(*word));
    let expected = match (right_count, parameters.all(f32::is_finite)) {
        (false, _) => Err(HeadError::NotAHead),
        (true, false) => Err(HeadError::NotFinite),
        (true, true) => Ok(()),
    };
    assert_eq!(try_head(&head), expected);
});

//! The bits of the functions that canonical arithmetic takes from `libm`: another version of it must have the same ones,
//! or models would compute something else after an update.

/// FNV-1a, 64 bits, over what `function` makes of every 4096th number there is.
fn digest(function: impl Fn(f32) -> f32) -> u64 {
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for bits in (0..=u32::MAX).step_by(4096) {
        let y = function(f32::from_bits(bits));
        // Which NaN it is may differ from machine to machine.
        let y = if y.is_nan() {
            f32::NAN.to_bits()
        } else {
            y.to_bits()
        };
        for byte in y.to_le_bytes() {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    digest
}

#[test]
fn functions_have_the_bits_they_always_had() {
    let found = [
        digest(libm::expf),
        digest(libm::expm1f),
        digest(libm::logf),
        digest(libm::tanhf),
        digest(libm::log1pf),
        digest(libm::erff),
        digest(|x| libm::powf(x, 2.75)),
        digest(|x| libm::powf(x, -3.0)),
        digest(libm::sqrtf),
    ];
    let expected = [
        0xb459_a728_2778_24ae,
        0xea3c_223b_2f9d_6b80,
        0x7b7c_86ca_e5df_d903,
        0x61ec_2024_67f9_342d,
        0x6845_33b0_9feb_ad28,
        0x582d_d4dc_756b_8555,
        0x77ab_056f_7dfd_c95a,
        0x3f80_9172_7e9a_7379,
        0x4e2c_5f6b_3e48_862e,
    ];
    assert_eq!(found, expected, "{found:x?}");
}

//! What pixels are to an input of a model.

use kinglet::model::schema::Input;

/// The numbers that `pixels`, any number of whole samples in NHWC, are to `input`: `(pixel / 255 - mean) / std` channel
/// by channel, where the model has mean and standard deviation of them, and `pixel / 255` where it has not.
pub fn normalized(input: &Input<'_>, pixels: &[u8]) -> Vec<f32> {
    let (words, _) = input.normalization.as_chunks::<4>();
    let (mean, std) = words.split_at(words.len() / 2);
    let unit = pixels.iter().map(|pixel| f32::from(*pixel) / 255.0);
    if std.is_empty() {
        return unit.collect();
    }
    let number = |word: &[u8; 4]| f32::from_le_bytes(*word);
    let channels = mean.iter().map(number).zip(std.iter().map(number)).cycle();
    unit.zip(channels)
        .map(|(x, (mean, std))| (x - mean) / std)
        .collect()
}

#[cfg(test)]
mod tests {
    use kinglet::SessionMemory;
    use kinglet_kernels::Portable;

    use super::*;
    use crate::model_file::ModelFile;

    #[test]
    fn pixels_become_the_numbers_that_a_session_makes_of_them() {
        let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny.kgl");
        let file = ModelFile::read(tiny.as_ref()).unwrap();
        let model = file.model();
        let input = model.inputs().iter().next().unwrap();
        let pixels: Vec<u8> = (0..16).map(|i| i * 15).collect();
        let mut memory = SessionMemory::new(&model, &Portable, 1);
        let mut session = memory.session(&model, Portable).unwrap();
        session.set_image_u8(&pixels).unwrap();
        let expected = session.input_mut(0).and_then(|input| input.into_f32());
        assert_eq!(normalized(&input, &pixels), expected.unwrap());
        let plain = Input {
            normalization: &[],
            ..input
        };
        assert_eq!(normalized(&plain, &[0, 255]), [0.0, 1.0]);
    }
}

//! The frozen layers of a model over a data set, on a device.

use kinglet::Model;
use kinglet::opencl::{OpenClError, Session};

use super::Device;
use crate::dataset::{Dataset, Sample};
use crate::evaluate::DEVICE_BATCH;
use crate::fine_tune::Features;

impl Device {
    /// What the frozen layers of `model` make of the samples of `data` at `indices`, which fit the model.
    ///
    /// # Errors
    /// A sentence that says why the device could not.
    pub fn features(
        &self,
        model: &Model<'_>,
        data: &Dataset,
        indices: impl Iterator<Item = usize>,
    ) -> Result<Features, String> {
        self.try_features(model, data, &indices.collect::<Vec<_>>())
            .map_err(|error| format!("{} is not used: {error}", self.name()))
    }

    fn try_features(
        &self,
        model: &Model<'_>,
        data: &Dataset,
        indices: &[usize],
    ) -> Result<Features, OpenClError> {
        let mut session = Session::frozen_body(&self.executor, model, DEVICE_BATCH, self.storage)?;
        let mut features = Features::default();
        for batch in indices.chunks(DEVICE_BATCH) {
            let input = session.input_mut(0).unwrap_or_default();
            let samples = input.chunks_exact_mut(model.input().len());
            for (sample, &index) in samples.zip(batch) {
                match data.sample(index) {
                    Sample::Image(pixels) => model
                        .normalize_image_u8(pixels, sample)
                        .expect("the shape was checked"),
                    Sample::Features(values) => sample.copy_from_slice(values),
                }
            }
            let len = session.output(0).map_or(0, <[f32]>::len) / DEVICE_BATCH;
            for (row, &index) in session.run()?.chunks_exact(len.max(1)).zip(batch) {
                features.add(index, row);
            }
        }
        Ok(features)
    }
}

//! A device as a kernel set: every call uploads its slices, runs one operation, and downloads what it wrote. So the
//! suite of the kernel sets runs here, too.
//!
//! What an operation writes lies between margins of known content, which must not change.

use std::sync::Arc;

use kinglet::opencl::{Buffer, Element, Executor, OpenClError, Recording, Slice};
use kinglet_kernels::{
    Activation, BackwardKernels, Binary, Conv2d, Kernels, Linear, Pool2d, PooledConv2d,
    StridedCopy, Unary,
};

/// A kernel set that computes on a device.
#[derive(Debug)]
pub(crate) struct OnDevice {
    pub(crate) name: &'static str,
    pub(crate) executor: Arc<Executor>,
}

/// Elements on either side of what is written.
const MARGIN: usize = 19;
const CANARY: f32 = 12345.678;

/// A slice's values on the device, between margins.
struct Loaded(Buffer);

impl Loaded {
    fn slice(&self) -> Slice<'_> {
        let len = self.0.len() - 2 * MARGIN;
        self.0
            .whole()
            .part(MARGIN, len)
            .expect("within the margins")
    }
}

impl OnDevice {
    fn load(&self, values: &[f32]) -> Loaded {
        let margin = [CANARY; MARGIN];
        let all = [&margin, values, &margin].concat();
        let buffer = self.executor.buffer(all.len(), Element::F32);
        let buffer = buffer.expect("there is memory");
        let written = self.executor.write_f32(buffer.whole(), &all);
        written.expect("the device takes it");
        Loaded(buffer)
    }

    /// Room for `len` values that nobody has written.
    fn room(&self, len: usize) -> Loaded {
        self.load(&vec![f32::NAN; len])
    }

    fn unload(&self, loaded: &Loaded, values: &mut [f32]) {
        let mut all = vec![0.0; loaded.0.len()];
        let read = self.executor.read_f32(loaded.0.whole(), &mut all);
        read.expect("the device gives it");
        let (before, rest) = all.split_at(MARGIN);
        let (found, after) = rest.split_at(values.len());
        let margins = before.iter().chain(after);
        assert!(margins.eq([CANARY; 2 * MARGIN].iter()), "out of bounds");
        values.copy_from_slice(found);
    }

    /// Runs what `record` records. Slices that do not fit are refused: a debug build stops there, as the suite
    /// wants it of every set.
    fn run(&self, record: impl FnOnce(&mut Recording) -> Result<(), OpenClError>) {
        let mut recording = Recording::new(&self.executor);
        match record(&mut recording) {
            Ok(()) => recording.enqueue().expect("the device runs it"),
            Err(OpenClError::Length {
                tensor,
                needed,
                found,
            }) => {
                debug_assert!(false, "{tensor} has {found} elements, it takes {needed}");
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Adds what lies on the device to `values`.
    fn add_gradients(&self, loaded: &Loaded, values: &mut [f32]) {
        let mut gradients = vec![0.0; values.len()];
        self.unload(loaded, &mut gradients);
        add(values, &gradients);
    }

    /// Packs convolution weights, which do not change from then on.
    fn packed(&self, params: &Conv2d, weights: &[f32]) -> Loaded {
        let from = self.load(weights);
        let packed = self.room(Recording::conv2d_f32_packed_len(params));
        self.run(|recording| recording.conv2d_f32_pack(params, from.slice(), packed.slice()));
        packed
    }
}

/// Samples in a slice, as many as it must have.
fn batch(found: usize, of: usize) -> usize {
    debug_assert!(
        of > 0 && found.is_multiple_of(of),
        "{found} elements, samples have {of}"
    );
    found / of.max(1)
}

impl Kernels for OnDevice {
    fn name(&self) -> &'static str {
        self.name
    }

    fn conv2d_f32(
        &self,
        params: &Conv2d,
        input: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        _scratch: &mut [f32],
        output: &mut [f32],
    ) {
        let batch = batch(output.len(), params.output().len());
        let weights = self.packed(params, weights);
        let (input, bias) = (self.load(input), bias.map(|bias| self.load(bias)));
        let to = self.load(output);
        self.run(|recording| {
            let bias = bias.as_ref().map(Loaded::slice);
            recording.conv2d_f32(
                params,
                batch,
                input.slice(),
                weights.slice(),
                bias,
                to.slice(),
            )
        });
        self.unload(&to, output);
    }

    fn conv2d_max_pool2d_f32(
        &self,
        params: &PooledConv2d,
        input: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        _scratch: &mut [f32],
        output: &mut [f32],
    ) {
        let batch = batch(output.len(), params.output().len());
        let weights = self.packed(params.conv(), weights);
        let (input, bias) = (self.load(input), bias.map(|bias| self.load(bias)));
        let to = self.load(output);
        self.run(|recording| {
            let (input, weights) = (input.slice(), weights.slice());
            let bias = bias.as_ref().map(Loaded::slice);
            recording.conv2d_max_pool2d_f32(params, batch, input, weights, bias, to.slice())
        });
        self.unload(&to, output);
    }

    fn linear_f32(
        &self,
        params: &Linear,
        input: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        output: &mut [f32],
    ) {
        let batch = batch(output.len(), params.out_features());
        let (input, weights) = (self.load(input), self.load(weights));
        let bias = bias.map(|bias| self.load(bias));
        let to = self.load(output);
        self.run(|recording| {
            let bias = bias.as_ref().map(Loaded::slice);
            recording.linear_f32(
                params,
                batch,
                input.slice(),
                weights.slice(),
                bias,
                to.slice(),
            )
        });
        self.unload(&to, output);
    }

    fn max_pool2d_f32(&self, params: &Pool2d, input: &[f32], output: &mut [f32]) {
        let batch = batch(output.len(), params.output().len());
        let (from, to) = (self.load(input), self.load(output));
        self.run(|recording| recording.max_pool2d_f32(params, batch, from.slice(), to.slice()));
        self.unload(&to, output);
    }

    fn avg_pool2d_f32(&self, params: &Pool2d, input: &[f32], output: &mut [f32]) {
        let batch = batch(output.len(), params.output().len());
        let (from, to) = (self.load(input), self.load(output));
        self.run(|recording| recording.avg_pool2d_f32(params, batch, from.slice(), to.slice()));
        self.unload(&to, output);
    }

    fn unary_f32(&self, function: Unary, data: &mut [f32]) {
        let loaded = self.load(data);
        self.run(|recording| recording.unary_f32(function, loaded.slice()));
        self.unload(&loaded, data);
    }

    fn softmax_f32(&self, channels: usize, data: &mut [f32]) {
        batch(data.len(), channels);
        let loaded = self.load(data);
        self.run(|recording| recording.softmax_f32(channels, loaded.slice()));
        self.unload(&loaded, data);
    }

    fn log_softmax_f32(&self, channels: usize, data: &mut [f32]) {
        batch(data.len(), channels);
        let loaded = self.load(data);
        self.run(|recording| recording.log_softmax_f32(channels, loaded.slice()));
        self.unload(&loaded, data);
    }

    fn binary_f32(&self, params: &Binary, operand: &[f32], data: &mut [f32]) {
        let (operand, loaded) = (self.load(operand), self.load(data));
        self.run(|recording| recording.binary_f32(params, operand.slice(), loaded.slice()));
        self.unload(&loaded, data);
    }

    fn channel_affine_f32(
        &self,
        activation: Activation,
        scale: &[f32],
        shift: &[f32],
        data: &mut [f32],
    ) {
        let (scale, shift, loaded) = (self.load(scale), self.load(shift), self.load(data));
        self.run(|recording| {
            let (scale, shift) = (scale.slice(), shift.slice());
            recording.channel_affine_f32(activation, scale, shift, loaded.slice())
        });
        self.unload(&loaded, data);
    }

    fn strided_copy_f32(&self, params: &StridedCopy, input: &[f32], output: &mut [f32]) {
        let (from, to) = (self.load(input), self.load(output));
        self.run(|recording| recording.strided_copy_f32(params, from.slice(), to.slice()));
        self.unload(&to, output);
    }
}

/// The trait adds gradients, a device writes them: of an empty batch, none.
fn add(values: &mut [f32], gradients: &[f32]) {
    values.iter_mut().zip(gradients).for_each(|(v, g)| *v += g);
}

impl BackwardKernels for OnDevice {
    fn conv2d_f32_backward_input(
        &self,
        params: &Conv2d,
        d_output: &[f32],
        weights: &[f32],
        _scratch: &mut [f32],
        d_input: &mut [f32],
    ) {
        let batch = batch(d_input.len(), params.input().len());
        let scratch = self.room(Recording::conv2d_f32_backward_scratch_len(params, batch));
        let (d, weights, to) = (self.load(d_output), self.load(weights), self.load(d_input));
        self.run(|recording| {
            let (d, weights, scratch) = (d.slice(), weights.slice(), scratch.slice());
            recording.conv2d_f32_backward_input(params, batch, d, weights, scratch, to.slice())
        });
        self.unload(&to, d_input);
    }

    fn conv2d_f32_backward_weights(
        &self,
        params: &Conv2d,
        input: &[f32],
        d_output: &[f32],
        _scratch: &mut [f32],
        d_weights: &mut [f32],
        d_bias: Option<&mut [f32]>,
    ) {
        let batch = batch(input.len(), params.input().len());
        let scratch = self.room(Recording::conv2d_f32_backward_scratch_len(params, batch));
        let (input, d) = (self.load(input), self.load(d_output));
        let to = self.room(d_weights.len());
        let to_bias = d_bias.as_ref().map(|d_bias| self.room(d_bias.len()));
        self.run(|recording| {
            let (input, d, scratch) = (input.slice(), d.slice(), scratch.slice());
            let bias = to_bias.as_ref().map(Loaded::slice);
            recording.conv2d_f32_backward_weights(
                params,
                batch,
                input,
                d,
                scratch,
                to.slice(),
                bias,
            )
        });
        if batch == 0 {
            return;
        }
        self.add_gradients(&to, d_weights);
        if let (Some(to), Some(d_bias)) = (to_bias, d_bias) {
            self.add_gradients(&to, d_bias);
        }
    }

    fn linear_f32_backward_input(
        &self,
        params: &Linear,
        d_output: &[f32],
        weights: &[f32],
        d_input: &mut [f32],
    ) {
        let batch = batch(d_input.len(), params.in_features());
        let (d, weights, to) = (self.load(d_output), self.load(weights), self.load(d_input));
        self.run(|recording| {
            let (d, weights) = (d.slice(), weights.slice());
            recording.linear_f32_backward_input(params, batch, d, weights, to.slice())
        });
        self.unload(&to, d_input);
    }

    fn linear_f32_backward_weights(
        &self,
        params: &Linear,
        rows: std::ops::Range<usize>,
        input: &[f32],
        d_output: &[f32],
        d_weights: &mut [f32],
        d_bias: Option<&mut [f32]>,
    ) {
        let (from, to) = (params.in_features(), params.out_features());
        let batch = batch(input.len(), from);
        debug_assert_eq!(d_weights.len(), rows.len() * from, "rows of weights");
        if let Some(d_bias) = &d_bias {
            debug_assert_eq!(d_bias.len(), rows.len(), "rows of the bias");
        }
        let (input, d) = (self.load(input), self.load(d_output));
        let (weights, bias) = (self.room(from * to), self.room(to));
        self.run(|recording| {
            let (input, d, weights) = (input.slice(), d.slice(), weights.slice());
            let bias = d_bias.is_some().then(|| bias.slice());
            recording.linear_f32_backward_weights(params, batch, input, d, weights, bias)
        });
        if batch == 0 {
            return;
        }
        let mut all = vec![0.0; from * to];
        self.unload(&weights, &mut all);
        add(d_weights, &all[rows.start * from..rows.end * from]);
        if let Some(d_bias) = d_bias {
            let mut all = vec![0.0; to];
            self.unload(&bias, &mut all);
            add(d_bias, &all[rows]);
        }
    }

    fn max_pool2d_f32_backward(
        &self,
        params: &Pool2d,
        input: &[f32],
        d_output: &[f32],
        d_input: &mut [f32],
    ) {
        let batch = batch(d_input.len(), params.input().len());
        let (input, d, to) = (self.load(input), self.load(d_output), self.load(d_input));
        self.run(|recording| {
            let (input, d) = (input.slice(), d.slice());
            recording.max_pool2d_f32_backward(params, batch, input, d, to.slice())
        });
        self.unload(&to, d_input);
    }

    fn avg_pool2d_f32_backward(&self, params: &Pool2d, d_output: &[f32], d_input: &mut [f32]) {
        let batch = batch(d_input.len(), params.input().len());
        let (d, to) = (self.load(d_output), self.load(d_input));
        self.run(|recording| {
            recording.avg_pool2d_f32_backward(params, batch, d.slice(), to.slice())
        });
        self.unload(&to, d_input);
    }

    fn unary_f32_backward(&self, function: Unary, output: &[f32], d: &mut [f32]) {
        let (output, loaded) = (self.load(output), self.load(d));
        self.run(|recording| {
            recording.unary_f32_backward(function, output.slice(), loaded.slice())
        });
        self.unload(&loaded, d);
    }

    fn softmax_f32_backward(&self, channels: usize, output: &[f32], d: &mut [f32]) {
        batch(d.len(), channels);
        let (output, loaded) = (self.load(output), self.load(d));
        self.run(|recording| {
            recording.softmax_f32_backward(channels, output.slice(), loaded.slice())
        });
        self.unload(&loaded, d);
    }
}

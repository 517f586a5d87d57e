//! Where a node stands while it is resolved: the tensors around it.

use kinglet_kernels::{ParamsError, Quantization, Requantize, RowOrder, Shape, WeightsI8};

use super::memory::Packable;
use super::parameters::{Offset, Span, WeightsInFile};
use super::{Element, Layer, LayerI8};
use crate::model::LoadError;
use crate::model::schema::Tensor;
use crate::record::Region;

/// A node and its surroundings. It reads at least one tensor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'n> {
    node: usize,
    input: &'n Tensor,
    others: &'n [Tensor],
    output: &'n Tensor,
    words: usize,
}

impl<'n> Site<'n> {
    /// Node number `node`, which reads `inputs` and writes `output`, in a file of `words` words of weights.
    pub(crate) fn new(
        node: usize,
        inputs: &'n [Tensor],
        output: &'n Tensor,
        words: usize,
    ) -> Result<Self, LoadError> {
        let (input, others) = inputs.split_first().ok_or(LoadError::Shape { node })?;
        Ok(Self {
            node,
            input,
            others,
            output,
            words,
        })
    }

    /// The first input.
    pub(crate) fn input(&self) -> &'n Tensor {
        self.input
    }

    /// The shape of the first input.
    pub(super) fn shape(&self) -> Shape {
        self.input.shape
    }

    /// The inputs after the first.
    pub(super) fn others(&self) -> &'n [Tensor] {
        self.others
    }

    /// The second input.
    pub(super) fn second(&self) -> Result<&'n Tensor, LoadError> {
        self.others.first().ok_or(self.mismatch())
    }

    pub(crate) fn output(&self) -> &'n Tensor {
        self.output
    }

    /// The tensors do not fit the operator.
    pub(super) fn mismatch(&self) -> LoadError {
        LoadError::Shape { node: self.node }
    }

    /// The operator is none of those that the program was built with.
    pub(super) fn not_linked(&self, name: &'static str) -> LoadError {
        let node = self.node;
        LoadError::Operator { node, name }
    }

    /// The element types do not fit the operator.
    pub(super) fn wrong_type(&self) -> LoadError {
        LoadError::DType { node: self.node }
    }

    /// Parameters that a constructor has made, or why not.
    pub(super) fn params<T>(&self, made: Result<T, ParamsError>) -> Result<T, LoadError> {
        made.map_err(|reason| LoadError::Params {
            node: self.node,
            reason,
        })
    }

    /// What the numbers of a tensor mean.
    pub(super) fn quantization(&self, tensor: &Tensor) -> Result<Quantization, LoadError> {
        tensor.dtype.quantization().ok_or(self.wrong_type())
    }

    /// How sums become numbers of the output within `low..=high`.
    pub(super) fn requantize(&self, low: i8, high: i8) -> Result<Requantize, LoadError> {
        let zero_point = self.quantization(self.output)?.zero_point;
        self.params(Requantize::new(zero_point, low, high))
    }

    /// `Ok` if the numbers of all inputs mean what those of the output do.
    pub(super) fn keeps_quantization(&self) -> Result<(), LoadError> {
        let mut tensors = core::iter::once(self.input).chain(self.others);
        match tensors.all(|tensor| tensor.dtype == self.output.dtype) {
            true => Ok(()),
            false => Err(self.wrong_type()),
        }
    }

    /// The place of `len` parameters.
    pub(super) fn span<T>(&self, at: Offset<T>, len: usize) -> Result<Span<T>, LoadError> {
        at.span(self.node, len, self.words)
    }

    /// The place of `len` weights.
    fn weights<T>(&self, at: WeightsInFile<T>, len: usize) -> Result<Span<T>, LoadError> {
        at.span(self.node, len, self.words)
    }

    /// The places of `weights` weights, and of a bias for each of `channels`.
    pub(super) fn layer(
        &self,
        layer: &Layer,
        weights: usize,
        channels: usize,
    ) -> Result<ReadyLayer, LoadError> {
        let bias = layer.bias.map(|bias| self.span(bias, channels));
        Ok(ReadyLayer {
            weights: self.weights(layer.weights, weights)?,
            bias: bias.transpose()?,
        })
    }

    /// The same of 8-bit numbers.
    pub(super) fn layer_i8(
        &self,
        layer: &LayerI8,
        weights: usize,
        channels: usize,
    ) -> Result<ReadyLayerI8, LoadError> {
        let bias = layer.bias.map(|bias| self.span(bias, channels));
        let WeightsInFile { order, offset } = layer.weights;
        let node = self.node;
        let rows = order.of_rows();
        let rows = rows.ok_or(LoadError::WeightsOrder { node, order })?;
        let row_len = weights.checked_div(channels).unwrap_or(0);
        let weights = self.span(offset, rows.len(channels, row_len))?;
        Ok(ReadyLayerI8 {
            weights: Packable::in_file(weights),
            order: rows,
            bias: bias.transpose()?,
            scale: self.span(layer.scale, channels)?,
        })
    }

    /// `Ok` if all inputs are of one element type, and the output of the other.
    pub(super) fn types(&self, input: Element, output: Element) -> Result<(), LoadError> {
        let mut inputs = core::iter::once(self.input).chain(self.others);
        let fits = inputs.all(|tensor| tensor.dtype.element() == input)
            && self.output.dtype.element() == output;
        match fits {
            true => Ok(()),
            false => Err(self.wrong_type()),
        }
    }
}

/// Where the parameters of a [`Layer`] lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ReadyLayer {
    pub(crate) weights: Span<f32>,
    pub(crate) bias: Option<Span<f32>>,
}

/// Where the parameters of a [`LayerI8`] lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ReadyLayerI8 {
    pub(super) weights: Packable<i8>,
    pub(super) order: RowOrder,
    bias: Option<Span<i32>>,
    scale: Span<f32>,
}

impl ReadyLayerI8 {
    /// The parameters with these weights, the others as parts of the file's.
    pub(super) fn with<'w>(self, weights: &'w [i8], file: &'w [f32]) -> WeightsI8<'w> {
        WeightsI8 {
            weights,
            order: self.order,
            bias: self.bias.map(|bias| bias.of(file)),
            scale: self.scale.of(file),
        }
    }

    /// The parameters, as parts of the file's weights.
    pub(super) fn of(self, file: &[f32]) -> WeightsI8<'_> {
        self.with(self.weights.span().of(file), file)
    }

    /// How many parameters there are, of which `weights` weights, whatever a file may have beside them.
    pub(super) fn lens(self, weights: usize) -> super::Lens {
        let bias = self.bias.map(Span::len);
        [Some(weights), bias, Some(self.scale.len())]
    }
}

/// The places of the inputs after the first.
pub(super) fn regions<const N: usize>(tensors: &[Tensor]) -> [Region; N] {
    let mut regions = [Region { offset: 0, len: 0 }; N];
    for (region, tensor) in regions.iter_mut().zip(tensors) {
        *region = Region::of(tensor);
    }
    regions
}

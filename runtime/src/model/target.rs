//! For which machine a file is written.

use kinglet_kernels::params::fits_pairs;

use super::Model;
use super::schema::{Tensor, bits};
use crate::operator::{LayerI8, Operator, Owned, WeightsOrder};

/// The machine whose kernels read a file's weights in place. The file runs on all others as well, and computes the same;
/// its weights are repacked there, or read more slowly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Target {
    /// None in particular: weights are in the order [`WeightsOrder::OHWI`].
    #[default]
    Generic,
    /// Cortex-M with the DSP extension: 8-bit weights are in the order [`WeightsOrder::PAIRS`], where the layer allows it.
    CortexM,
}

impl Target {
    /// The one that a model was written for.
    pub fn of(model: &Model<'_>) -> Self {
        let mut nodes = model.graph().nodes_with_outputs::<{ bits::ALL }>();
        let in_pairs = nodes.any(|(node, _)| match node.operator {
            Operator::QuantizedConv2d(conv) => conv.layer.weights.order == WeightsOrder::PAIRS,
            Operator::QuantizedLinear(linear) => linear.layer.weights.order == WeightsOrder::PAIRS,
            _ => false,
        });
        match in_pairs {
            true => Self::CortexM,
            false => Self::Generic,
        }
    }

    /// The length of the rows of an operator's weights, if those are to be written as pairs of rows.
    pub(super) fn row_len_of_pairs(
        self,
        operator: &Operator<Owned>,
        input: &Tensor,
    ) -> Option<usize> {
        let layer: &LayerI8<Owned> = match (self, operator) {
            (Self::Generic, _) => return None,
            // Grouped convolutions, depthwise ones among them, read weights of their own.
            (Self::CortexM, Operator::QuantizedConv2d(conv)) if conv.groups == 1 => &conv.layer,
            (Self::CortexM, Operator::QuantizedLinear(linear)) => &linear.layer,
            (Self::CortexM, _) => return None,
        };
        let rows = layer.scale.len();
        let row_len = layer.weights.len().checked_div(rows)?;
        let is_whole = layer.weights.len() == rows.checked_mul(row_len)?;
        // Less than this is not worth a row of zeros or a group that is not whole.
        if !is_whole || rows < 3 || row_len < 4 {
            return None;
        }
        let zero_point = input.dtype.quantization()?.zero_point;
        let bias = layer.bias.as_deref();
        fits_pairs(&layer.weights, row_len, bias, zero_point).then_some(row_len)
    }
}

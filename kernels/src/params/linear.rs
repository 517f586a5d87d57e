//! Linear layers.

use super::{Activation, ParamsError};

/// A linear (fully connected) layer: `output[o] = activation(bias[o] + sum over i of input[i] * weights[o][i])`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Linear {
    pub(crate) in_features: usize,
    pub(crate) out_features: usize,
    pub(crate) activation: Activation,
}

impl Linear {
    /// Largest number of input or output features.
    pub const MAX_FEATURES: usize = 1 << 24;

    /// A linear layer.
    ///
    /// # Errors
    /// [`ParamsError`] if either count is 0 or above [`Self::MAX_FEATURES`].
    pub const fn new(
        in_features: usize,
        out_features: usize,
        activation: Activation,
    ) -> Result<Self, ParamsError> {
        if in_features == 0 || out_features == 0 {
            return Err(ParamsError::Zero);
        }
        if let Err(error) = ParamsError::within(&[in_features, out_features], Self::MAX_FEATURES) {
            return Err(error);
        }
        Ok(Self {
            in_features,
            out_features,
            activation,
        })
    }

    /// Values read for each sample.
    pub const fn in_features(&self) -> usize {
        self.in_features
    }

    /// Values written for each sample.
    pub const fn out_features(&self) -> usize {
        self.out_features
    }

    /// What is applied to each output.
    pub const fn activation(&self) -> Activation {
        self.activation
    }

    /// The same layer with another activation.
    pub const fn with_activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Elements of the weights, `[out_features, in_features]`.
    pub const fn weights_len(&self) -> usize {
        self.in_features.saturating_mul(self.out_features)
    }
}

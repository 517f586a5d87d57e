//! How the kernels' vocabulary stands in a model file. The order of fields and variants *is* the format; variants are
//! only ever appended. Numbers are `u32`, whatever the machine counts with.

use kinglet_kernels as kernels;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(remote = "kernels::Shape")]
pub(crate) struct Shape {
    #[serde(with = "extent")]
    height: usize,
    #[serde(with = "extent")]
    width: usize,
    #[serde(with = "extent")]
    channels: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "kernels::Padding")]
struct Padding {
    #[serde(with = "extent")]
    top: usize,
    #[serde(with = "extent")]
    bottom: usize,
    #[serde(with = "extent")]
    left: usize,
    #[serde(with = "extent")]
    right: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "kernels::Window")]
pub(crate) struct Window {
    #[serde(with = "extent")]
    kernel_h: usize,
    #[serde(with = "extent")]
    kernel_w: usize,
    #[serde(with = "extent")]
    stride_h: usize,
    #[serde(with = "extent")]
    stride_w: usize,
    #[serde(with = "extent")]
    dilation_h: usize,
    #[serde(with = "extent")]
    dilation_w: usize,
    #[serde(with = "Padding")]
    padding: kernels::Padding,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "kernels::Activation")]
pub(crate) enum Activation {
    Identity,
    Relu,
    Relu6,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "kernels::Rounding")]
pub(crate) enum Rounding {
    Floor,
    Ceil,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "kernels::CountPadding")]
pub(crate) enum CountPadding {
    Include,
    Exclude,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "kernels::Axis")]
pub(crate) enum Axis {
    Height,
    Width,
    Channels,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "kernels::BinaryFunction")]
pub(crate) enum BinaryFunction {
    Add,
    Subtract,
    ReverseSubtract,
    Multiply,
    Divide,
    ReverseDivide,
    Minimum,
    Maximum,
    PRelu,
}

/// A size of the host as a `u32`.
mod extent {
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::{Error, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(size: &usize, to: S) -> Result<S::Ok, S::Error> {
        let size = u32::try_from(*size).map_err(|_| S::Error::custom("a size above 32 bits"))?;
        size.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
        Ok(u32::deserialize(from)? as usize)
    }
}

/// A number for height, width and channels.
pub(crate) mod per_axis {
    use kinglet_kernels::PerAxis;
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::{Error, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(numbers: &PerAxis, to: S) -> Result<S::Ok, S::Error> {
        let mut words = [0u32; 3];
        for (word, number) in words.iter_mut().zip(numbers) {
            let size = u32::try_from(*number);
            *word = size.map_err(|_| S::Error::custom("a size above 32 bits"))?;
        }
        words.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PerAxis, D::Error> {
        Ok(<[u32; 3]>::deserialize(from)?.map(|word| word as usize))
    }
}

/// The axis that becomes height, width and channels.
pub(crate) mod order {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// An axis by itself.
    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct One(#[serde(with = "super::Axis")] super::kernels::Axis);

    pub(crate) fn serialize<S: Serializer>(
        order: &[super::kernels::Axis; 3],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        order.map(One).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<[super::kernels::Axis; 3], D::Error> {
        Ok(<[One; 3]>::deserialize(from)?.map(|One(axis)| axis))
    }
}

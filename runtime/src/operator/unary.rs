//! Functions of one element.

use kinglet_kernels::{Kernels, ParamsError, Shape, Unary};
use serde::{Deserialize, Serialize};

use super::memory::Memory;
use super::site::Site;
use super::{NAMED, Resolve, Run, without_parameters};
use crate::model::LoadError;

/// How a function stands in a model file; variants are only ever appended.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Unary")]
pub(super) enum Wire {
    Relu,
    Relu6,
    LeakyRelu { slope: f32 },
    Sigmoid,
    Tanh,
    Clip { low: f32, high: f32 },
    Elu { alpha: f32 },
    HardSigmoid { alpha: f32, beta: f32 },
    HardSwish,
    Selu { alpha: f32, gamma: f32 },
    Swish { alpha: f32 },
    Softplus,
    Softsign,
    Mish,
    Gelu,
    GeluTanh,
    Erf,
    Abs,
    Exp,
    Log,
    Sqrt,
    Power { exponent: f32 },
}

/// The bit of each function in the prefix's bitmap, within those of the operator `Unary`.
macro_rules! functions {
    ($($Function:ident $({ $($field:ident),+ })? = $bit:literal),* $(,)?) => {
        /// The bits of all functions.
        pub(super) const BITS: u128 = $(1 << $bit)|*;

        /// The bit of a function.
        pub(super) const fn bit(function: Unary) -> u128 {
            match function {
                $(Unary::$Function { .. } => 1 << $bit,)*
            }
        }

        /// The names of the functions at their bits.
        pub(super) const fn names() -> [&'static str; NAMED] {
            let mut names = [""; NAMED];
            $(names[$bit] = concat!(stringify!($Function), "F32");)*
            names
        }

        /// Calls `apply` with `function`, each variant behind its bit of `OPS` and as a constant, so that only the
        /// functions in use are linked.
        #[inline(always)]
        pub(crate) fn known<const OPS: u128>(function: Unary, apply: impl FnOnce(Unary)) {
            match function {
                $(Unary::$Function $({ $($field),+ })? if OPS & 1 << $bit != 0 => {
                    apply(Unary::$Function $({ $($field),+ })?);
                })*
                _ => debug_assert!(false, "{function:?} is not linked"),
            }
        }
    };
}

functions! {
    Relu = 5,
    Relu6 = 6,
    LeakyRelu { slope } = 7,
    Sigmoid = 8,
    Tanh = 9,
    Clip { low, high } = 10,
    Elu { alpha } = 11,
    HardSigmoid { alpha, beta } = 12,
    HardSwish = 13,
    Selu { alpha, gamma } = 40,
    Swish { alpha } = 41,
    Softplus = 42,
    Softsign = 43,
    Mish = 44,
    Gelu = 45,
    GeluTanh = 46,
    Erf = 47,
    Abs = 48,
    Exp = 49,
    Log = 50,
    Sqrt = 51,
    Power { exponent } = 52,
}

without_parameters!(Unary);

impl Resolve<Unary> for Unary {
    fn resolve(operator: &Unary, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        Ok((*operator, site.shape()))
    }
}

impl Run for Unary {
    fn bit(&self, _: u128) -> u128 {
        bit(*self)
    }

    fn check(&self, _: &[f32]) -> Result<(), ParamsError> {
        Unary::check(*self)
    }

    fn trainable(&self, _: bool) -> bool {
        self.has_backward()
    }

    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.in_place(|kernels, data| {
            known::<OPS>(*self, |function| kernels.unary_f32(function, data));
        });
    }
}

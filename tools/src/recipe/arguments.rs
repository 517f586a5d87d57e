//! The arguments of a call by the names of their parameters, read as the types that layers and transforms take.

use super::call::{Call, Value};
use super::error::CallProblem;
use super::function::Function;

/// Rows and columns.
pub(super) type Pair = (usize, usize);

/// Arguments by the names of their parameters.
pub(super) struct Arguments {
    /// The function that is called.
    pub(super) function: &'static Function,
    parameters: Vec<&'static str>,
    values: Vec<Option<Value>>,
}

impl Arguments {
    /// Gives the arguments of a call of `function` to its parameters.
    pub(super) fn bind(call: &Call, function: &'static Function) -> Result<Self, CallProblem> {
        let parameters = function.parameter_names();
        Ok(Self {
            values: call.bind(&parameters, || function.signature())?,
            function,
            parameters,
        })
    }

    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        let place = self.parameters.iter().position(|p| *p == name)?;
        self.values.get(place)?.as_ref()
    }

    pub(super) fn wrong(
        &self,
        name: &'static str,
        found: &Value,
        right: &'static str,
    ) -> CallProblem {
        CallProblem::Argument {
            name,
            found: found.to_string(),
            right,
        }
    }

    /// The default, or an error where there is none.
    pub(super) fn or_default<T>(
        &self,
        name: &'static str,
        default: Option<T>,
    ) -> Result<T, CallProblem> {
        default.ok_or_else(|| CallProblem::MissingArgument {
            name,
            signature: format!("the call is {}", self.function.signature()),
        })
    }

    /// An argument of which only one value is supported.
    pub(super) fn only(
        &self,
        name: &'static str,
        supported: &Value,
        right: &'static str,
    ) -> Result<(), CallProblem> {
        match self.value(name) {
            Some(found) if found != supported => Err(self.wrong(name, found, right)),
            _ => Ok(()),
        }
    }

    pub(super) fn count(
        &self,
        name: &'static str,
        default: Option<usize>,
    ) -> Result<usize, CallProblem> {
        match self.value(name) {
            None => self.or_default(name, default),
            Some(&Value::Integer(value)) if value > 0 => Ok(value as usize),
            Some(other) => Err(self.wrong(name, other, "a whole number of at least 1")),
        }
    }

    /// A number for both axes or (rows, columns), each at least 1.
    pub(super) fn pair(
        &self,
        name: &'static str,
        default: Option<Pair>,
    ) -> Result<Pair, CallProblem> {
        match self.value(name) {
            None => self.or_default(name, default),
            Some(value) => pair_of(value, 1)
                .ok_or_else(|| self.wrong(name, value, "a number or (height, width), at least 1")),
        }
    }

    pub(super) fn flag(&self, name: &'static str, default: bool) -> Result<bool, CallProblem> {
        match self.value(name) {
            None => Ok(default),
            Some(&Value::Bool(value)) => Ok(value),
            Some(other) => Err(self.wrong(name, other, "True or False")),
        }
    }

    pub(super) fn float(
        &self,
        name: &'static str,
        default: f32,
        right: &'static str,
        valid: impl Fn(f32) -> bool,
    ) -> Result<f32, CallProblem> {
        let number = match self.value(name) {
            None => return Ok(default),
            Some(&Value::Float(value)) => Some(value as f32),
            Some(&Value::Integer(value)) => Some(value as f32),
            Some(_) => None,
        };
        match (number, self.value(name)) {
            (Some(number), _) if number.is_finite() && valid(number) => Ok(number),
            (_, Some(found)) => Err(self.wrong(name, found, right)),
            (_, None) => Ok(default),
        }
    }

    /// Two numbers, the first not above the second.
    pub(super) fn range(
        &self,
        name: &'static str,
        default: [f32; 2],
        right: &'static str,
        valid: impl Fn(f32) -> bool,
    ) -> Result<[f32; 2], CallProblem> {
        let Some(value) = self.value(name) else {
            return Ok(default);
        };
        match value.numbers().as_deref() {
            Some(&[low, high]) if low <= high && valid(low as f32) && valid(high as f32) => {
                Ok([low as f32, high as f32])
            }
            _ => Err(self.wrong(name, value, right)),
        }
    }
}

/// A number for both axes or (rows, columns), each at least `least`.
pub(super) fn pair_of(value: &Value, least: i64) -> Option<Pair> {
    let one = |value: &Value| match value {
        Value::Integer(n) if *n >= least => usize::try_from(*n).ok(),
        _ => None,
    };
    match value {
        Value::Tuple(values) => match values.as_slice() {
            [h, w] => one(h).zip(one(w)),
            _ => None,
        },
        single => one(single).map(|n| (n, n)),
    }
}

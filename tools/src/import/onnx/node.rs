//! One node of an ONNX graph: its attributes, and the constants it reads.

use std::collections::HashMap;

use super::schema::{AttributeProto, EXTERNAL, FLOAT, INT64, NodeProto, TensorProto};
use crate::import::NodeProblem;

/// Constants by name: initializers, and what `Constant` nodes hold.
pub(super) type Constants<'a> = HashMap<&'a str, &'a TensorProto>;

/// A node with the constants of its graph.
#[derive(Clone, Copy)]
pub(super) struct NodeReader<'a> {
    pub(super) node: &'a NodeProto,
    pub(super) constants: &'a Constants<'a>,
}

/// A tensor of float32 with its shape.
pub(super) struct Floats {
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<f32>,
}

impl<'a> NodeReader<'a> {
    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.node.attribute.iter().find(|a| a.name == name)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.i)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |a| a.f)
    }

    pub(super) fn text(&self, name: &str, default: &str) -> String {
        let text = |a: &AttributeProto| String::from_utf8_lossy(&a.s).into_owned();
        self.attribute(name).map_or(default.to_owned(), text)
    }

    /// `N` numbers of at least `least`.
    pub(super) fn sizes<const N: usize>(
        &self,
        name: &'static str,
        default: Option<[usize; N]>,
        least: usize,
    ) -> Result<[usize; N], NodeProblem> {
        let found = match (self.attribute(name), default) {
            (Some(attribute), _) => attribute.ints.as_slice(),
            (None, Some(default)) => return Ok(default),
            (None, None) => return Err(NodeProblem::Missing { what: name }),
        };
        let sizes = found.iter().map(|size| {
            let size = usize::try_from(*size).ok();
            size.filter(|size| *size >= least)
        });
        let sizes: Option<Vec<usize>> = sizes.collect();
        sizes
            .and_then(|sizes| sizes.try_into().ok())
            .ok_or_else(|| NodeProblem::Attribute {
                name,
                found: format!("{found:?}"),
                right: format!("a list of {N} numbers of at least {least}"),
            })
    }

    /// Refuses an attribute that is not `right`, which is also its default.
    pub(super) fn require_int(&self, name: &'static str, right: i64) -> Result<(), NodeProblem> {
        let found = self.int(name, right);
        if found == right {
            return Ok(());
        }
        Err(NodeProblem::Attribute {
            name,
            found: found.to_string(),
            right: right.to_string(),
        })
    }

    /// The name of input number `index`; None where an optional one was left out.
    pub(super) fn input(&self, index: usize) -> Option<&'a str> {
        let name = self.node.input.get(index).map(String::as_str);
        name.filter(|name| !name.is_empty())
    }

    /// The constant that input number `index` names, if it is there.
    fn constant(
        &self,
        index: usize,
        what: &'static str,
    ) -> Result<Option<&'a TensorProto>, NodeProblem> {
        let Some(name) = self.input(index) else {
            return Ok(None);
        };
        let constant = self.constants.get(name).copied();
        let constant = constant.ok_or_else(|| NodeProblem::NotConstant {
            what,
            value: name.to_owned(),
        })?;
        if constant.data_location == EXTERNAL {
            return Err(NodeProblem::Constant {
                what,
                found: "in another file".into(),
                right: "a model saved with its weights inside".into(),
            });
        }
        Ok(Some(constant))
    }

    /// A parameter of float32.
    pub(super) fn floats(
        &self,
        index: usize,
        what: &'static str,
    ) -> Result<Option<Floats>, NodeProblem> {
        let Some(tensor) = self.constant(index, what)? else {
            return Ok(None);
        };
        let wrong = |found: String, right: String| NodeProblem::Constant { what, found, right };
        if tensor.data_type != FLOAT {
            let found = format!("of data type {}", tensor.data_type);
            return Err(wrong(found, format!("float32 ({FLOAT})")));
        }
        let values = match tensor.raw_data.as_chunks() {
            (_, [_, ..]) => {
                let found = format!("{} bytes long", tensor.raw_data.len());
                return Err(wrong(found, "a multiple of 4".into()));
            }
            ([], []) => tensor.float_data.clone(),
            (words, []) => words.iter().map(|word| f32::from_le_bytes(*word)).collect(),
        };
        let dims = tensor.dims.iter().map(|dim| usize::try_from(*dim).ok());
        let dims = dims.collect::<Option<Vec<usize>>>();
        let len = |dims: &Vec<usize>| {
            dims.iter()
                .try_fold(1usize, |len, dim| len.checked_mul(*dim))
        };
        match dims {
            Some(dims) if len(&dims) == Some(values.len()) => Ok(Some(Floats { dims, values })),
            _ => Err(wrong(
                format!("of shape {:?} with {} values", tensor.dims, values.len()),
                "as many values as the shape has".into(),
            )),
        }
    }

    /// A parameter of float32 that has to be there.
    pub(super) fn required_floats(
        &self,
        index: usize,
        what: &'static str,
    ) -> Result<Floats, NodeProblem> {
        self.floats(index, what)?
            .ok_or(NodeProblem::Missing { what })
    }

    /// A vector of `len` values of float32 that has to be there.
    pub(super) fn vector(
        &self,
        index: usize,
        what: &'static str,
        len: usize,
    ) -> Result<Vec<f32>, NodeProblem> {
        let found = self.required_floats(index, what)?;
        if found.dims == [len] {
            return Ok(found.values);
        }
        Err(wrong_shape(what, &found.dims, format!("[{len}]")))
    }

    /// A list of int64 that has to be there.
    pub(super) fn ints(&self, index: usize, what: &'static str) -> Result<Vec<i64>, NodeProblem> {
        let tensor = self.constant(index, what)?;
        let tensor = tensor.ok_or(NodeProblem::Missing { what })?;
        if tensor.data_type != INT64 {
            return Err(NodeProblem::Constant {
                what,
                found: format!("of data type {}", tensor.data_type),
                right: format!("int64 ({INT64})"),
            });
        }
        let (words, _) = tensor.raw_data.as_chunks();
        Ok(match words {
            [] => tensor.int64_data.clone(),
            words => words.iter().map(|word| i64::from_le_bytes(*word)).collect(),
        })
    }
}

/// A parameter of another shape.
pub(super) fn wrong_shape(what: &'static str, found: &[usize], right: String) -> NodeProblem {
    NodeProblem::Constant {
        what,
        found: format!("of shape {found:?}"),
        right,
    }
}

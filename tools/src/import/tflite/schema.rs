//! The tables of TensorFlow Lite files, with the fields that are read.
//!
//! Names, numbers and defaults are those of TensorFlow's
//! [schema.fbs](https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs).
//! A field that is not here is neither verified nor read.

use flatbuffers::{InvalidFlatbuffer, Verifiable, Verifier};

use super::names::{BuiltinOperator, TensorType};
use super::options::{self, Options};
use super::table::{Field, List, Table, root, slot, tables};

/// Verifies a file and reads the table it begins with.
pub(super) fn root_as_model(bytes: &[u8]) -> Result<Model<'_>, InvalidFlatbuffer> {
    root(bytes)
}

tables! {
    /// A file.
    Model {
        1 operator_codes: List<'a, OperatorCode<'a>>,
        2 subgraphs: List<'a, SubGraph<'a>>,
        4 buffers: List<'a, Buffer<'a>>,
    }

    /// Which operator a code stands for.
    OperatorCode {
        0 deprecated_builtin_code: i8 = 0,
        1 custom_code: &'a str,
        3 builtin_code: BuiltinOperator = BuiltinOperator::ADD,
    }

    /// A graph: tensors, and the operators that compute them. Inputs and outputs are numbers of tensors.
    SubGraph {
        0 tensors: List<'a, Tensor<'a>>,
        1 inputs: List<'a, i32>,
        2 outputs: List<'a, i32>,
        3 operators: List<'a, Operator<'a>>,
    }

    /// The bytes of a constant.
    Buffer {
        0 data: List<'a, u8>,
    }

    /// A tensor: a constant if its buffer has bytes. How a sparse one is stored is not read, since it is refused.
    Tensor {
        0 shape: List<'a, i32>,
        1 type_: TensorType = TensorType::FLOAT32,
        2 buffer: u32 = 0,
        3 name: &'a str,
        4 quantization: QuantizationParameters<'a>,
        5 is_variable: bool = false,
        6 sparsity: Table<'a>,
        7 shape_signature: List<'a, i32>,
        8 has_rank: bool = false,
    }

    /// What the integers of a tensor mean.
    QuantizationParameters {
        2 scale: List<'a, f32>,
        3 zero_point: List<'a, i64>,
        6 quantized_dimension: i32 = 0,
    }
}

/// An operator at work. Inputs and outputs are numbers of tensors.
#[derive(Clone, Copy)]
pub(super) struct Operator<'a>(Table<'a>);

impl<'a> Operator<'a> {
    /// Which of the model's operator codes.
    pub(super) fn opcode_index(self) -> u32 {
        self.0.get(0).unwrap_or(0)
    }

    pub(super) fn inputs(self) -> Option<List<'a, i32>> {
        self.0.get(1)
    }

    pub(super) fn outputs(self) -> Option<List<'a, i32>> {
        self.0.get(2)
    }

    /// Its options; None if it has none, or those of another operator.
    pub(super) fn options<T: Options<'a>>(self) -> Option<T> {
        let tag: u8 = self.0.get(3)?;
        (tag == T::TAG).then(|| self.0.get(4))?
    }
}

tables!(@table Operator);

impl Verifiable for Operator<'_> {
    fn run_verifier(
        verifier: &mut Verifier<'_, '_>,
        position: usize,
    ) -> Result<(), InvalidFlatbuffer> {
        type Numbers<'a> = <List<'a, i32> as Field<'a>>::Verified;
        let (tag, value) = ("builtin_options_type", "builtin_options");
        verifier
            .visit_table(position)?
            .visit_field::<u32>("opcode_index", slot(0), false)?
            .visit_field::<Numbers<'_>>("inputs", slot(1), false)?
            .visit_field::<Numbers<'_>>("outputs", slot(2), false)?
            .visit_union::<u8, _>(tag, slot(3), value, slot(4), false, options::verify)?
            .finish();
        Ok(())
    }
}

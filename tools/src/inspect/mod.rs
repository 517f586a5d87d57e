//! A network as a table: layer by layer its output, parameters, multiply-accumulates and memory, and what
//! a device needs for all of it.

mod memory;
mod node;
mod picture;

use kinglet::Model;
use kinglet::kernels::Shape;
use kinglet::model::Target;
use kinglet::model::schema::{DType, Source, Tensor};
use kinglet::plan::{self, Plan};
pub use memory::MemoryMap;
pub(crate) use node::describe;
use node::{counts, element, reads};
pub use picture::picture;
use serde::Serialize;

use crate::array_layout::ArrayLayout;
use crate::digits::grouped;
use crate::graph::Graph;
use crate::table;

/// One layer of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What it computes.
    pub layer: String,
    /// The tensors it reads, numbered as in the file: the inputs from 0, then the outputs of the rows; empty if that is
    /// the one before its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<usize>,
    /// Shape of its output without the batch: `[channels, height, width]`, or `[features]`.
    pub output: Vec<usize>,
    /// Element type of its output; for 8-bit numbers also what they mean.
    pub element: String,
    /// Values that training changes.
    pub parameters: usize,
    /// Multiply-accumulates of one sample.
    pub macs: u64,
    /// Bytes of its output for one sample.
    pub output_bytes: usize,
}

impl Row {
    /// The layer, and what it reads where that is not the row before it.
    fn text(&self) -> String {
        match self.reads.as_slice() {
            [] => self.layer.clone(),
            reads => {
                let reads: Vec<String> = reads.iter().map(usize::to_string).collect();
                format!("{} of {}", self.layer, reads.join(", "))
            }
        }
    }
}

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct End {
    /// What it is called.
    pub name: String,
    /// Shape of one sample of its arrays, as the file has them that the model was made from.
    pub shape: Vec<usize>,
    /// Its element type; for 8-bit numbers also what they mean.
    pub element: String,
}

impl End {
    fn new(name: &str, tensor: &Tensor, source: Option<&Source>) -> Self {
        Self {
            name: name.to_owned(),
            shape: ArrayLayout::new(tensor.shape, source).array().to_vec(),
            element: element(tensor.dtype),
        }
    }

    /// The end in a line; `number` is that of its tensor.
    fn text(&self, what: &str, number: usize) -> String {
        let Self {
            name,
            shape,
            element,
        } = self;
        format!("{number:>3}  {what} {name} {shape:?} {element}")
    }
}

/// What a device needs to run a model, in bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Memory {
    /// The model file: what goes to flash.
    pub file: usize,
    /// Weights within the file.
    pub weights: usize,
    /// Tensors at the plan's peak.
    pub activations: usize,
    /// No plan can be lower than this.
    pub activations_lower_bound: usize,
    /// The whole arena on this machine: activations, scratch, and the session's records.
    pub arena: usize,
    /// Training arena for SGD with momentum; 0 if nothing is trainable.
    pub training_sgd: usize,
    /// Training arena for Adam.
    pub training_adam: usize,
    /// A saved head.
    pub head: usize,
}

/// The whole table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The network's name.
    pub name: String,
    /// The model's id and parent, for a model file.
    pub id: Option<String>,
    /// The model it was fine-tuned from.
    pub parent: Option<String>,
    /// The machine that the file is written for: `generic` or `cortex-m`.
    pub target: &'static str,
    /// Shape of one sample of the first input's arrays.
    pub input: Vec<usize>,
    /// The inputs.
    pub inputs: Vec<End>,
    /// The outputs.
    pub outputs: Vec<End>,
    /// The tensor of each output.
    #[serde(skip)]
    written: Vec<usize>,
    /// The layers in order.
    pub layers: Vec<Row>,
    /// Sum of the parameters.
    pub parameters: usize,
    /// Sum of the multiply-accumulates.
    pub macs: u64,
    /// Class names.
    pub labels: Vec<String>,
    /// What a device needs.
    pub memory: Memory,
}

/// A shape as PyTorch's users write it.
pub fn channels_first(shape: Shape) -> Vec<usize> {
    if (shape.height, shape.width) == (1, 1) {
        vec![shape.channels]
    } else {
        vec![shape.channels, shape.height, shape.width]
    }
}

impl Report {
    /// A recipe's network, layer by layer as the recipe has them; `model` is what it exports to.
    pub fn of_recipe(name: &str, graph: &Graph, model: &Model<'_>, file: usize) -> Self {
        let shapes = graph.shapes();
        let layers = graph.nodes.iter().enumerate().map(|(index, node)| {
            let value = graph.value_of(index);
            let output = shapes[value];
            Row {
                layer: node.name.clone(),
                reads: match node.inputs.as_slice() {
                    [only] if only + 1 == value => vec![],
                    inputs => inputs.to_vec(),
                },
                output: channels_first(output),
                element: element(DType::F32),
                parameters: node.operation.parameters(),
                macs: node.operation.macs(),
                output_bytes: output.len() * 4,
            }
        });
        Self::new(name, layers.collect(), model, file)
    }

    /// A model file of `file` bytes, node by node.
    pub fn of_model(model: &Model<'_>, file: usize) -> Self {
        let tensors: Vec<_> = model.tensors().iter().collect();
        let first_trainable = model.nodes().len() - model.trainable_nodes();
        let layers = model.nodes().iter().enumerate().map(|(index, node)| {
            let input = tensors[usize::from(node.inputs[0])].shape;
            let written = model.inputs().len() + index;
            let tensor = &tensors[written];
            let output = tensor.shape;
            let (parameters, macs) = counts(&node, input, output);
            let mut layer = describe(&node.operator);
            if index >= first_trainable && parameters > 0 {
                layer += ", trainable";
            }
            Row {
                layer,
                reads: reads(written, &node),
                output: channels_first(output),
                element: element(tensor.dtype),
                parameters,
                macs,
                output_bytes: tensor.bytes(),
            }
        });
        Self {
            id: Some(model.id().to_string()),
            parent: model.parent().map(|parent| parent.to_string()),
            ..Self::new(model.name(), layers.collect(), model, file)
        }
    }

    fn new(name: &str, layers: Vec<Row>, model: &Model<'_>, file: usize) -> Self {
        let sizes = model.sizes();
        let Plan {
            peak, lower_bound, ..
        } = plan::of_model(model);
        let trainable = sizes.trainable_parameters > 0;
        let training = |bytes: usize| if trainable { bytes } else { 0 };
        let inputs = model.inputs().iter().zip(model.tensors().iter());
        let inputs = inputs.map(|(end, tensor)| End::new(end.name, &tensor, end.source.as_ref()));
        let inputs: Vec<End> = inputs.collect();
        let outputs = model.outputs().iter().zip(model.output_tensors());
        let outputs = outputs.map(|(end, tensor)| End::new(end.name, &tensor, end.source.as_ref()));
        let written = model.outputs().iter().map(|output| output.tensor.into());
        Self {
            name: name.to_owned(),
            id: None,
            parent: None,
            target: match Target::of(model) {
                Target::Generic => "generic",
                Target::CortexM => "cortex-m",
            },
            input: inputs
                .first()
                .map_or(Vec::new(), |first| first.shape.clone()),
            inputs,
            outputs: outputs.collect(),
            written: written.collect(),
            parameters: layers.iter().map(|row| row.parameters).sum(),
            macs: layers.iter().map(|row| row.macs).sum(),
            labels: model.labels().iter().map(str::to_owned).collect(),
            memory: Memory {
                file,
                weights: sizes.weights,
                activations: peak,
                activations_lower_bound: lower_bound,
                arena: sizes.arena,
                training_sgd: training(sizes.training::<kinglet::Sgd>()),
                training_adam: training(sizes.training::<kinglet::Adam>()),
                head: sizes.head,
            },
            layers,
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_simple = self.inputs.len() == 1 && self.outputs.len() == 1;
        if is_simple {
            writeln!(f, "{}: input {:?}", self.name, self.input)?;
        } else {
            writeln!(f, "{}", self.name)?;
            for (number, input) in self.inputs.iter().enumerate() {
                writeln!(f, "{}", input.text("input", number))?;
            }
            for (number, output) in self.written.iter().zip(&self.outputs) {
                writeln!(f, "{}", output.text("output", *number))?;
            }
        }
        if let Some(id) = &self.id {
            writeln!(f, "id {id}")?;
        }
        if let Some(parent) = &self.parent {
            writeln!(f, "fine-tuned from {parent}")?;
        }
        let mut table = table::new(["layer", "output", "parameters", "MACs", "output bytes"]);
        // Rows have element types where there is more than one.
        let real = element(DType::F32);
        let quantized = self.layers.iter().any(|row| row.element != real);
        for (index, row) in self.layers.iter().enumerate() {
            table.add_row([
                format!("{:>3}  {}", index + self.inputs.len(), row.text()),
                match quantized {
                    true => format!("{:?} {}", row.output, row.element),
                    false => format!("{:?}", row.output),
                },
                grouped(row.parameters as u64),
                grouped(row.macs),
                grouped(row.output_bytes as u64),
            ]);
        }
        table::align_numbers(&mut table, 2);
        writeln!(f, "{}", table.trim_fmt())?;
        let bytes = |bytes: usize| grouped(bytes as u64);
        let m = &self.memory;
        writeln!(
            f,
            "{} parameters, {} MACs a sample",
            grouped(self.parameters as u64),
            grouped(self.macs)
        )?;
        writeln!(
            f,
            "model file        {:>12} bytes, weights {}{}",
            bytes(m.file),
            bytes(m.weights),
            match self.target {
                "generic" => String::new(),
                target => format!(" as --target {target} reads them"),
            }
        )?;
        writeln!(
            f,
            "activations       {:>12} bytes at the plan's peak (lower bound {}{})",
            bytes(m.activations),
            bytes(m.activations_lower_bound),
            if m.activations == m.activations_lower_bound {
                ": optimal"
            } else {
                ""
            }
        )?;
        writeln!(
            f,
            "arena             {:>12} bytes with the session's records on this machine",
            bytes(m.arena)
        )?;
        if m.training_sgd > 0 {
            writeln!(
                f,
                "training arena    {:>12} bytes with SGD, {} with Adam; a saved head {}",
                bytes(m.training_sgd),
                bytes(m.training_adam),
                bytes(m.head)
            )?;
        }
        if !self.labels.is_empty() {
            writeln!(f, "classes           {}", self.labels.join(", "))?;
        }
        Ok(())
    }
}

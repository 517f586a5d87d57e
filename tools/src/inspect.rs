//! A network as a table: layer by layer its output, parameters, multiply-accumulates and memory, and what
//! a device needs for all of it.

use kinglet::Model;
use kinglet::kernels::{Activation, Conv2d, Shape, Window};
use kinglet::model::schema::{Node, Operator};
use kinglet::plan::{self, Plan};
use serde::Serialize;

use crate::graph::unary_name;
use crate::network::Architecture;

/// One layer of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What it computes.
    pub layer: String,
    /// Shape of its output without the batch: `[channels, height, width]`, or `[features]`.
    pub output: Vec<usize>,
    /// Values that training changes.
    pub parameters: usize,
    /// Multiply-accumulates of one sample.
    pub macs: u64,
    /// Bytes of its output for one sample.
    pub output_bytes: usize,
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
    /// Shape of the input without the batch.
    pub input: Vec<usize>,
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
    pub fn of_recipe(
        name: &str,
        architecture: &Architecture,
        model: &Model<'_>,
        file: usize,
    ) -> Self {
        let layers = architecture.layers.iter().map(|layer| Row {
            layer: layer.text.clone(),
            output: channels_first(layer.output),
            parameters: layer.parameters(),
            macs: layer.macs(),
            output_bytes: layer.output.len() * 4,
        });
        Self::new(name, layers.collect(), model, file)
    }

    /// A model file of `file` bytes, node by node.
    pub fn of_model(model: &Model<'_>, file: usize) -> Self {
        let tensors: Vec<_> = model.tensors().iter().collect();
        let first_trainable = model.nodes().len() - model.trainable_nodes();
        let layers = model.nodes().iter().enumerate().map(|(index, node)| {
            let input = tensors[usize::from(node.inputs[0])].shape;
            let output = tensors[index + 1].shape;
            let (parameters, macs) = counts(&node, input, output);
            let mut layer = describe(&node.operator);
            if index >= first_trainable && parameters > 0 {
                layer += ", trainable";
            }
            Row {
                layer,
                output: channels_first(output),
                parameters,
                macs,
                output_bytes: output.len() * 4,
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
        Self {
            name: name.to_owned(),
            id: None,
            parent: None,
            input: channels_first(model.input()),
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

/// Parameters and multiply-accumulates of a node.
fn counts(node: &Node, input: Shape, output: Shape) -> (usize, u64) {
    let with_bias =
        |weights: usize, bias: Option<u32>| weights + bias.map_or(0, |_| output.channels);
    match node.operator {
        Operator::Conv2dF32 {
            window,
            groups,
            bias,
            ..
        } => {
            let taps = window.kernel_h * window.kernel_w * input.channels / groups as usize;
            let macs = output.len() as u64 * taps as u64;
            (with_bias(output.channels * taps, bias), macs)
        }
        Operator::Conv2dMaxPool2dF32 {
            window,
            groups,
            bias,
            activation,
            ..
        } => {
            let groups = groups as usize;
            let conv = Conv2d::new(input, output.channels, window, groups, activation);
            // The model was loaded, so it is one.
            let (weights, macs) = conv.map_or((0, 0), |conv| (conv.weights_len(), conv.macs()));
            (with_bias(weights, bias), macs)
        }
        Operator::LinearF32 { bias, .. } => {
            let weights = input.len() * output.len();
            (with_bias(weights, bias), weights as u64)
        }
        _ => (0, 0),
    }
}

/// An operator in a few words.
fn describe(operator: &Operator) -> String {
    let activation = |activation| match activation {
        Activation::Identity => "",
        Activation::Relu => " + ReLU",
        Activation::Relu6 => " + ReLU6",
    };
    match operator {
        Operator::Conv2dF32 {
            window,
            groups,
            activation: a,
            ..
        }
        | Operator::Conv2dMaxPool2dF32 {
            window,
            groups,
            activation: a,
            ..
        } => {
            let groups = match groups {
                1 => String::new(),
                groups => format!(" groups {groups}"),
            };
            let pool = match operator {
                Operator::Conv2dMaxPool2dF32 { pool, .. } => {
                    format!(" + MaxPool2d {}", geometry(pool))
                }
                _ => String::new(),
            };
            let activation = activation(*a);
            format!("Conv2d {}{groups}{activation}{pool}", geometry(window))
        }
        Operator::LinearF32 { activation: a, .. } => format!("Linear{}", activation(*a)),
        Operator::MaxPool2dF32 { window, .. } => format!("MaxPool2d {}", geometry(window)),
        Operator::AvgPool2dF32 { window, .. } => format!("AvgPool2d {}", geometry(window)),
        Operator::SoftmaxF32 => "Softmax".to_owned(),
        other => other.unary().map_or("?", unary_name).to_owned(),
    }
}

/// `3x3`, and stride, dilation and padding where they are not the usual.
fn geometry(window: &Window) -> String {
    let mut text = format!("{}x{}", window.kernel_h, window.kernel_w);
    let pair = |h: usize, w: usize| match h == w {
        true => h.to_string(),
        false => format!("{h}x{w}"),
    };
    if (window.stride_h, window.stride_w) != (1, 1) {
        text += &format!(" stride {}", pair(window.stride_h, window.stride_w));
    }
    if (window.dilation_h, window.dilation_w) != (1, 1) {
        text += &format!(" dilation {}", pair(window.dilation_h, window.dilation_w));
    }
    let p = &window.padding;
    if !p.is_zero() {
        let symmetric = p.top == p.bottom && p.left == p.right;
        text += &match symmetric {
            true => format!(" padding {}", pair(p.top, p.left)),
            false => format!(" padding {},{},{},{}", p.top, p.bottom, p.left, p.right),
        };
    }
    text
}

/// Digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
        writeln!(f, "{}: input {:?}", self.name, self.input)?;
        if let Some(id) = &self.id {
            writeln!(f, "id {id}")?;
        }
        if let Some(parent) = &self.parent {
            writeln!(f, "fine-tuned from {parent}")?;
        }
        let mut table = Table::new();
        let rule = LineStyle::none().fill('-').junction('-');
        table.load_style(TableStyle::new().header_separator(rule));
        table.set_header(["layer", "output", "parameters", "MACs", "output bytes"]);
        for row in &self.layers {
            table.add_row([
                row.layer.clone(),
                format!("{:?}", row.output),
                grouped(row.parameters as u64),
                grouped(row.macs),
                grouped(row.output_bytes as u64),
            ]);
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
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
            "model file        {:>12} bytes, weights {}",
            bytes(m.file),
            bytes(m.weights)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_in_threes() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(12345678), "12,345,678");
    }

    #[test]
    fn windows_say_what_is_unusual() {
        assert_eq!(geometry(&Window::new(3, 3)), "3x3");
        let strided = Window::new(5, 3).with_stride(2, 2).with_dilation(1, 2);
        assert_eq!(geometry(&strided), "5x3 stride 2 dilation 1x2");
        let padded = Window::new(3, 3).with_padding(kinglet::kernels::Padding::symmetric(1, 1));
        assert_eq!(geometry(&padded), "3x3 padding 1");
    }
}

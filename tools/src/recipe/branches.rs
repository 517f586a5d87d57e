//! From the lines of `layers` to a graph: which values they read, by name or as the line before, and whether these fit.

use kinglet_kernels::{Activation, Axis, BinaryFunction};

use super::call::Call;
use super::error::{CallProblem, ChannelsFirst, hint};
use super::layers::LAYERS;
use super::shapes::{Flow, small};
use super::statement::{Expression, Statement};
use crate::graph::{Graph, Operation};

/// What the input is called.
const INPUT: &str = "input";

/// Builds a graph line by line.
pub(super) struct Builder<'a> {
    graph: &'a mut Graph,
    /// What is known of each value.
    values: Vec<Value>,
    /// Values that have a name.
    names: Vec<(String, usize)>,
    /// The value of the line before.
    before: usize,
    /// The line that is read.
    line: usize,
}

/// A value, and where it comes from.
struct Value {
    flow: Flow,
    line: usize,
    text: String,
    is_read: bool,
}

impl<'a> Builder<'a> {
    /// For a graph of one input, which stands on that line.
    pub(super) fn new(graph: &'a mut Graph, input: Flow, line: usize) -> Self {
        let value = Value {
            flow: input,
            line,
            text: INPUT.to_owned(),
            is_read: false,
        };
        Self {
            graph,
            values: vec![value],
            names: vec![(INPUT.to_owned(), 0)],
            before: 0,
            line,
        }
    }

    /// Reads the next line.
    pub(super) fn add(&mut self, line: usize, text: &str) -> Result<(), CallProblem> {
        let statement = Statement::parse(text)?;
        if let Some(name) = &statement.name {
            self.check_name(name)?;
        }
        self.line = line;
        let value = self.compute(&statement.expression)?;
        // The node that a line computes last is called by the line; a name for what another line computes is no node.
        if let (false, Some(node)) = (
            matches!(
                statement.expression,
                Expression::Before | Expression::Value(_)
            ),
            self.graph.nodes.last_mut(),
        ) {
            node.name = text.trim().to_owned();
            text.trim().clone_into(&mut self.values[value].text);
        }
        if let Some(name) = statement.name {
            self.names.push((name, value));
        }
        self.before = value;
        Ok(())
    }

    /// Whether nothing is computed yet.
    pub(super) fn is_empty(&self) -> bool {
        self.graph.nodes.is_empty()
    }

    fn check_name(&self, name: &str) -> Result<(), CallProblem> {
        let known = self.names.iter().find(|(known, _)| known == name);
        let taken = match known {
            Some((_, 0)) if name == INPUT => "the network's input".to_owned(),
            Some((_, value)) => {
                format!("what line {} computes already", self.values[*value].line)
            }
            None if LAYERS.iter().any(|layer| layer.name == name) => "a layer".to_owned(),
            None if name == "_" => "what the line before computes".to_owned(),
            None => return Ok(()),
        };
        let name = name.to_owned();
        Err(CallProblem::NameTaken { name, taken })
    }

    /// The last value and the line of each node; the first line whose value nobody reads, if there is one.
    pub(super) fn finish(self) -> Result<(usize, Vec<usize>), (usize, String, CallProblem)> {
        let last = self.before;
        let unread = |(value, of): (usize, &Value)| !of.is_read && value != last;
        if let Some((value, of)) = self
            .values
            .iter()
            .enumerate()
            .find(|(value, of)| unread((*value, of)))
        {
            let name = self.names.iter().find(|(_, named)| *named == value);
            let hint = match name {
                Some((name, _)) => {
                    format!("use \"{name}\" in a line below, or leave this one out")
                }
                None => "the lines below read other values; name it, as in \"x = ReLU()\", and use the name, or leave it out".to_owned(),
            };
            return Err((of.line, of.text.clone(), CallProblem::Unread { hint }));
        }
        let lines = self.values[1..].iter().map(|value| value.line);
        Ok((last, lines.collect()))
    }

    /// The value of an expression, whose nodes are appended to the graph.
    fn compute(&mut self, expression: &Expression) -> Result<usize, CallProblem> {
        match expression {
            Expression::Before => Ok(self.before),
            Expression::Value(name) => self.find(name),
            Expression::Layer(call, of) => match (fusible(call), of.as_ref()) {
                (Some(activation), Expression::Binary(function, operands)) => {
                    self.binary(*function, activation, operands)
                }
                _ => {
                    let of = self.compute(of)?;
                    let mut flow = self.values[of].flow;
                    let operation = flow.layer(call)?;
                    Ok(self.push(&call.to_string(), operation, &[of], flow))
                }
            },
            Expression::Binary(function, operands) => {
                self.binary(*function, Activation::Identity, operands)
            }
            Expression::Concat(values, dim) => self.concat(values, *dim),
        }
    }

    fn find(&self, name: &str) -> Result<usize, CallProblem> {
        if let Some((_, value)) = self.names.iter().find(|(known, _)| known == name) {
            return Ok(*value);
        }
        let is_layer = LAYERS.iter().any(|layer| layer.name == name);
        let known = self.names.iter().map(|(name, _)| name.as_str());
        Err(CallProblem::UnknownValue {
            name: name.to_owned(),
            hint: match is_layer {
                true => format!("the layer is written {name}()"),
                false => hint(name, known),
            },
        })
    }

    fn push(&mut self, text: &str, operation: Operation, inputs: &[usize], flow: Flow) -> usize {
        for input in inputs {
            self.values[*input].is_read = true;
        }
        self.values.push(Value {
            flow,
            line: self.line,
            text: text.to_owned(),
            is_read: false,
        });
        self.graph.push(text, operation, inputs)
    }

    fn binary(
        &mut self,
        function: BinaryFunction,
        activation: Activation,
        operands: &[Expression; 2],
    ) -> Result<usize, CallProblem> {
        const RULE: &str = "both have the same shape, or one has 1 where the other has more";
        let values = [self.compute(&operands[0])?, self.compute(&operands[1])?];
        let [left, right] = values.map(|value| self.values[value].flow);
        let (function, order, flow) = Flow::binary(left, right, function)
            .ok_or_else(|| self.misfit(values[0], values[1], RULE))?;
        let operation = Operation::Binary {
            function,
            activation,
        };
        let inputs = order.map(|place| values[place]);
        Ok(self.push(&format!("{function:?}"), operation, &inputs, flow))
    }

    fn concat(&mut self, values: &[Expression], dim: i64) -> Result<usize, CallProblem> {
        const RULE: &str = "both are flat, or have the same height and width";
        let values = values.iter().map(|value| self.compute(value));
        let values = values.collect::<Result<Vec<usize>, _>>()?;
        let first = self.values[values[0]].flow;
        // Of [batch, channels, height, width] the channels are 1 and -3, of [batch, features] the features 1 and -1.
        if dim != 1 && dim != if first.is_flat() { -1 } else { -3 } {
            return Err(CallProblem::Argument {
                name: "dim",
                found: dim.to_string(),
                right: "1 (the channels)",
            });
        }
        let mut flow = first;
        for value in &values[1..] {
            flow = Flow::concat(flow, self.values[*value].flow)
                .ok_or_else(|| self.misfit(values[0], *value, RULE))?;
        }
        small(flow.shape)?;
        let axis = Axis::Channels;
        Ok(self.push("cat", Operation::Concat { axis }, &values, flow))
    }

    fn misfit(&self, left: usize, right: usize, rule: &'static str) -> CallProblem {
        let [left, right] = [left, right].map(|value| &self.values[value]);
        CallProblem::Shapes {
            left: ChannelsFirst(left.flow.shape),
            left_line: left.line,
            right: ChannelsFirst(right.flow.shape),
            right_line: right.line,
            rule,
        }
    }
}

/// The activation that a layer is, where a function of two values can have it behind it.
fn fusible(call: &Call) -> Option<Activation> {
    match (
        call.name.as_str(),
        call.positional.is_empty(),
        call.named.is_empty(),
    ) {
        ("ReLU", true, true) => Some(Activation::Relu),
        ("ReLU6", true, true) => Some(Activation::Relu6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kinglet_kernels::Shape;

    use super::*;
    use crate::recipe::Recipe;
    use crate::recipe::layers::OTHERWISE;

    fn parse(layers: &[&str]) -> Result<Graph, String> {
        let layers: Vec<String> = layers.iter().map(|layer| format!("{layer:?},\n")).collect();
        let text = format!("input = [3, 8, 8]\nlayers = [\n{}]", layers.concat());
        let recipe = Recipe::parse(&text, Path::new("x.toml"));
        recipe
            .map(|recipe| recipe.graph)
            .map_err(|error| error.to_string())
    }

    fn error(layers: &[&str]) -> String {
        parse(layers).unwrap_err()
    }

    #[test]
    fn a_residual_block_reads_what_it_says() {
        let graph = parse(&[
            "x = Conv2d(3, 16, 3, padding=1)",
            "Conv2d(16, 16, 3, padding=1)",
            "relu(_ + x)",
            "torch.cat([_, x], dim=1)",
            "s = AdaptiveAvgPool2d(1)",
            "Conv2d(32, 32, 1)(Sigmoid()(s)) * s",
        ])
        .unwrap();
        let inputs: Vec<&[usize]> = graph
            .nodes
            .iter()
            .map(|node| node.inputs.as_slice())
            .collect();
        assert_eq!(
            inputs,
            [&[0][..], &[1], &[2, 1], &[3, 1], &[4], &[5], &[6], &[7, 5]]
        );
        let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names[2], "relu(_ + x)");
        assert_eq!(names[5..7], ["Sigmoid()", "Conv2d(32, 32, 1)"]);
        let sum = &graph.nodes[2].operation;
        assert!(
            matches!(
                sum,
                Operation::Binary {
                    activation: Activation::Relu,
                    ..
                }
            ),
            "{sum:?}"
        );
        assert_eq!(graph.shapes()[4], Shape::new(8, 8, 32));
    }

    #[test]
    fn the_smaller_operand_comes_second() {
        for (line, right) in [
            ("s * x", BinaryFunction::Multiply),
            ("x - s", BinaryFunction::Subtract),
            ("s - x", BinaryFunction::ReverseSubtract),
            ("s / x", BinaryFunction::ReverseDivide),
            ("torch.minimum(s, x)", BinaryFunction::Minimum),
        ] {
            let graph = parse(&["x = ReLU()", "s = AdaptiveAvgPool2d(1)", line]).unwrap();
            let node = &graph.nodes[2];
            let Operation::Binary { function, .. } = node.operation else {
                panic!("{line}")
            };
            assert_eq!(
                (function, node.inputs.as_slice()),
                (right, &[1, 2][..]),
                "{line}"
            );
        }
    }

    #[test]
    fn names_that_are_wrong_say_what_would_be_right() {
        assert_eq!(
            error(&["shortcut = ReLU()", "ReLU()", "_ + shortcat"]),
            "x.toml:5: _ + shortcat: no line before this one is called \"shortcat\"; did you mean shortcut?"
        );
        assert_eq!(
            error(&["ReLU"]),
            "x.toml:3: ReLU: no line before this one is called \"ReLU\"; the layer is written ReLU()"
        );
        assert_eq!(
            error(&["x = ReLU()", "x = Tanh()"]),
            "x.toml:4: x = Tanh(): \"x\" is what line 3 computes already; choose another name"
        );
        assert_eq!(
            error(&["Tanh = ReLU()"]),
            "x.toml:3: Tanh = ReLU(): \"Tanh\" is a layer; choose another name"
        );
        assert_eq!(
            error(&["input = ReLU()"]),
            "x.toml:3: input = ReLU(): \"input\" is the network's input; choose another name"
        );
    }

    #[test]
    fn what_nobody_reads_is_refused() {
        assert_eq!(
            error(&["x = ReLU()", "y = Tanh()", "Sigmoid()(x)"]),
            "x.toml:4: y = Tanh(): nothing reads what it computes: use \"y\" in a line below, or leave this one out"
        );
        assert_eq!(
            error(&["x = ReLU()", "Tanh()", "Sigmoid()(x)"]),
            "x.toml:4: Tanh(): nothing reads what it computes: the lines below read other values; name it, as in \
             \"x = ReLU()\", and use the name, or leave it out"
        );
    }

    #[test]
    fn shapes_that_do_not_go_together_name_both_lines() {
        assert_eq!(
            error(&["x = Conv2d(3, 16, 3)", "MaxPool2d(2)", "_ + x"]),
            "x.toml:5: _ + x: 16x3x3 (line 4) and 16x6x6 (line 3) do not go together (channels, height, width): \
             both have the same shape, or one has 1 where the other has more"
        );
        assert_eq!(
            error(&[
                "x = Conv2d(3, 16, 3)",
                "MaxPool2d(2)",
                "torch.cat([x, _], dim=1)"
            ]),
            "x.toml:5: torch.cat([x, _], dim=1): 16x6x6 (line 3) and 16x3x3 (line 4) do not go together (channels, \
             height, width): both are flat, or have the same height and width"
        );
        // PyTorch's order of flattened values is not that of other vectors.
        let mixed = ["x = Flatten()", "Linear(192, 192)", "_ + x"];
        assert!(
            error(&mixed).contains("do not go together"),
            "{}",
            error(&mixed)
        );
        let text = error(&["x = ReLU()", "torch.cat([_, x], dim=2)"]);
        assert!(
            text.ends_with("dim=2 is not possible; it must be 1 (the channels)"),
            "{text}"
        );
    }

    #[test]
    fn flattened_values_keep_pytorchs_order_behind_a_concatenation() {
        let layers = [
            "x = Flatten()",
            "MaxPool2d(4)(input)",
            "y = Flatten()",
            "torch.cat([x, y], dim=1)",
            "Linear(204, 1)",
        ];
        let mut graph = parse(&layers).unwrap();
        let values: Vec<f32> = (0..204).map(|i| i as f32).collect();
        graph.import_pytorch("4.weight", &values).unwrap();
        assert_eq!(graph.export_pytorch("4.weight").unwrap(), values);
        let own = graph.nodes[4]
            .operation
            .values(crate::graph::Role::Weights)
            .unwrap();
        // Channel by channel at each pixel, first of 8 x 8 and then of 2 x 2.
        assert_eq!(own[..4], [0.0, 64.0, 128.0, 1.0]);
        assert_eq!(own[192..196], [192.0, 196.0, 200.0, 193.0]);
    }

    #[test]
    fn what_is_said_of_blocks_works() {
        for otherwise in OTHERWISE {
            let text = format!(
                "input = [16, 8, 8]\nlayers = [{}]",
                otherwise.example.replace("Conv2d(3,", "Conv2d(16,")
            );
            let recipe = Recipe::parse(&text, Path::new("x.toml"));
            assert!(
                recipe.is_ok(),
                "{}: {}",
                otherwise.example,
                recipe.unwrap_err()
            );
        }
    }
}

//! The graph of a model file as a drawing: a box for each node, with lines from what it reads.

mod layout;
mod order;
mod place;

use kinglet::Model;
use kinglet::kernels::Shape;
use kinglet::model::schema::{DType, Operator, Tensor};

use super::node::{describe, element};
use super::{Report, Row, channels_first};
use crate::digits::grouped;
use crate::svg::chart::four_digits;
use crate::svg::{BODY, Drawing, number, shortened, width_of, wrapped};
use layout::Point;

/// Around everything.
const MARGIN: f64 = 24.0;
/// The model's name and what it takes.
const HEADER: f64 = 82.0;
/// Room within a box, beside its text.
const PADDING: f64 = 12.0;
/// Height of a line of text.
const LINE: f64 = 16.0;
/// Widest text of a box; longer lines are broken.
const WIDEST: f64 = 190.0;
/// The coloured edge of a box.
const STRIPE: f64 = 5.0;
/// Height of the point of an arrow.
const ARROW: f64 = 7.0;

/// A box before it has a place.
struct Card {
    /// The first line is its heading.
    lines: Vec<String>,
    /// All there is to say.
    title: String,
    /// The class of its colour.
    colour: &'static str,
    /// Further classes.
    class: String,
}

impl Card {
    fn size(&self) -> (f64, f64) {
        let widths = self.lines.iter().enumerate().map(|(place, line)| {
            // The heading is bold.
            width_of(line, BODY) * if place == 0 { 1.06 } else { 1.0 }
        });
        let width = widths.fold(60.0, f64::max) + 2.0 * PADDING + STRIPE;
        (width, self.lines.len() as f64 * LINE + 12.0)
    }
}

/// Draws the graph of `model`, a file of `file` bytes, as an SVG file.
pub fn picture(model: &Model<'_>, file: usize) -> String {
    let report = Report::of_model(model, file);
    let tensors: Vec<Tensor> = model.tensors().iter().collect();
    let names = names(model);
    let inputs = model.inputs().len();
    // A card for each tensor, in their order.
    let of_inputs = names.iter().zip(&tensors).take(inputs);
    let mut cards: Vec<Card> = of_inputs
        .map(|(name, tensor)| input_card(name, tensor))
        .collect();
    let mut edges = Vec::new();
    let first_trainable = model.nodes().len() - model.trainable_nodes();
    for (index, (node, row)) in model.nodes().iter().zip(&report.layers).enumerate() {
        let written = inputs + index;
        let reads: Vec<usize> = node.inputs.iter().map(|i| usize::from(*i)).collect();
        let subject = Subject {
            name: &names[written],
            operator: &node.operator,
            input: &tensors[reads[0]],
            output: &tensors[written],
            reads: reads.iter().map(|input| names[*input].as_str()).collect(),
            trainable: index >= first_trainable && row.parameters > 0,
        };
        cards.push(node_card(&subject, row));
        for input in reads {
            // A node that reads a value twice still has one line from it.
            if !edges.contains(&(input, written)) {
                edges.push((input, written));
            }
        }
    }
    if model.outputs().len() > 1 {
        for output in model.outputs().iter() {
            let card = &mut cards[usize::from(output.tensor)];
            card.lines.push(format!("output {}", output.name));
        }
    }

    let sizes: Vec<(f64, f64)> = cards.iter().map(Card::size).collect();
    let layout = layout::layout(&sizes, &edges);
    let facts = [
        format!(
            "{} parameters, {} MACs",
            grouped(report.parameters as u64),
            grouped(report.macs)
        ),
        format!(
            "{} bytes of activations, {} of file",
            grouped(report.memory.activations as u64),
            grouped(file as u64)
        ),
    ];
    let name = shortened(&report.name, 15.0, 320.0);
    let words = facts.iter().map(|text| width_of(text, BODY));
    let words = words.fold(width_of(&name, 15.0), f64::max);
    let width = layout.size.0.max(words) + 2.0 * MARGIN;
    let height = layout.size.1 + HEADER + MARGIN;
    let mut drawing = Drawing::new(width, height);
    drawing.open_titled("name", &report.name);
    drawing.text("title", (MARGIN, 22.0), &name);
    drawing.close();
    drawing.text("muted", (MARGIN, 42.0), &facts[0]);
    drawing.text("muted", (MARGIN, 58.0), &facts[1]);
    let left = (width - layout.size.0) / 2.0;
    let moved = |(x, y): Point| (x + left, y + HEADER);
    for (line, (from, to)) in layout.lines.iter().zip(&edges) {
        let title = format!(
            "{} to {}: {}",
            names[*from],
            names[*to],
            dimensions(tensors[*from].shape)
        );
        drawing.open_titled("wire", &title);
        let points: Vec<Point> = line.iter().copied().map(moved).collect();
        draw_line(&mut drawing, &points);
        drawing.close();
    }
    for ((card, corner), size) in cards.iter().zip(&layout.boxes).zip(&sizes) {
        draw_card(&mut drawing, card, moved(*corner), *size);
    }
    drawing.standalone(&format!("The graph of {}", report.name))
}

/// What each tensor is called.
fn names(model: &Model<'_>) -> Vec<String> {
    let inputs = model.inputs();
    let inputs = inputs.iter().map(|input| match inputs.len() {
        1 => "the input".to_owned(),
        _ => format!("input {}", input.name),
    });
    let nodes = (1..=model.nodes().len()).map(|node| format!("node {node}"));
    inputs.chain(nodes).collect()
}

fn input_card(name: &str, tensor: &Tensor) -> Card {
    let heading = match name.strip_prefix("input ") {
        None => vec!["Input".to_owned()],
        Some(name) => wrapped(&format!("Input {name}"), BODY, WIDEST),
    };
    Card {
        lines: [heading, vec![of_tensor(tensor)]].concat(),
        title: format!("{name}\n{}, {}", of_tensor(tensor), element(tensor.dtype)),
        colour: "series-8",
        class: String::new(),
    }
}

/// What a node's card is about.
struct Subject<'a> {
    name: &'a str,
    operator: &'a Operator,
    /// The first tensor it reads.
    input: &'a Tensor,
    output: &'a Tensor,
    /// Names of all it reads.
    reads: Vec<&'a str>,
    trainable: bool,
}

fn node_card(subject: &Subject<'_>, row: &Row) -> Card {
    let text = describe(subject.operator);
    let (heading, rest) = heading(&text);
    let (input, output) = (subject.input, subject.output);
    let mut lines = wrapped(heading, BODY, WIDEST);
    // What follows a plus stays with it.
    lines.extend(wrapped(&rest.replace("+ ", "+\u{a0}"), BODY, WIDEST));
    if row.macs > 0 && heading.starts_with("Conv2d") {
        let (from, to) = (input.shape.channels, output.shape.channels);
        lines.push(format!("{from} → {to} channels"));
    } else if row.macs > 0 && heading == "Linear" {
        lines.push(format!("{} → {}", input.shape.len(), output.shape.len()));
    }
    lines.push(of_tensor(output));
    if let DType::I8 { scale, zero_point } = output.dtype {
        lines.push(format!(
            "scale {}, zero {zero_point}",
            four_digits(scale.into())
        ));
    }
    if subject.trainable {
        lines.push("trainable".to_owned());
    }
    let title = format!(
        "{}: {}\nreads {}\noutput {}, {}\n{} parameters, {} MACs",
        subject.name,
        row.layer,
        subject.reads.join(", "),
        of_tensor(output),
        element(output.dtype),
        grouped(row.parameters as u64),
        grouped(row.macs)
    );
    let mut class = String::new();
    if matches!(output.dtype, DType::I8 { .. }) {
        class += " quantized";
    }
    if subject.trainable {
        class += " trainable";
    }
    Card {
        lines,
        title,
        colour: colour(heading),
        class,
    }
}

/// The operator with its kernel, and the rest of its description.
fn heading(text: &str) -> (&str, &str) {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    if !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return (name, rest);
    }
    let kernel = rest.split(' ').next().unwrap_or("").len();
    let (heading, rest) = text.split_at(name.len() + 1 + kernel);
    (heading, rest.trim_start())
}

/// A colour for operators of a kind.
fn colour(heading: &str) -> &'static str {
    match heading.split(' ').next().unwrap_or("") {
        "Conv2d" => "series-1",
        "Linear" => "series-3",
        "MaxPool2d" | "AvgPool2d" => "series-2",
        "Quantize" | "Dequantize" | "Requantize" => "series-4",
        "Add" | "Subtract" | "ReverseSubtract" | "Multiply" | "Divide" | "ReverseDivide"
        | "Minimum" | "Maximum" | "ChannelAffine" => "series-6",
        "Concat" | "Slice" | "Pad" | "Upsample" | "Transpose" | "Reshape" => "series-7",
        _ => "series-5",
    }
}

/// A shape as in the table, in one word.
fn dimensions(shape: Shape) -> String {
    let extents: Vec<String> = channels_first(shape).iter().map(usize::to_string).collect();
    extents.join("×")
}

/// Shape, type and size of a tensor.
fn of_tensor(tensor: &Tensor) -> String {
    let bytes = grouped(tensor.bytes() as u64);
    let shape = dimensions(tensor.shape);
    match tensor.dtype {
        DType::F32 => format!("{shape} f32, {bytes} bytes"),
        DType::I8 { .. } => format!("{shape} i8, {bytes} bytes"),
    }
}

fn draw_card(drawing: &mut Drawing, card: &Card, (x, y): Point, (width, height): (f64, f64)) {
    drawing.open_titled("node", &card.title);
    drawing.rect(&format!("box{}", card.class), (x, y), (width, height));
    let stripe = format!("stripe {}", card.colour);
    drawing.rect(&stripe, (x, y), (STRIPE, height));
    let last = card.lines.len() - 1;
    for (place, line) in card.lines.iter().enumerate() {
        let class = match place {
            0 => "strong",
            _ if place == last => "muted",
            _ => "",
        };
        let at = (x + STRIPE + PADDING, y + 6.0 + LINE * (place as f64 + 0.5));
        drawing.text(class, at, line);
    }
    drawing.close();
}

/// Vertical lines within rows and curves between them, with an arrow at the end.
fn draw_line(drawing: &mut Drawing, points: &[Point]) {
    let Some((end, _)) = points.split_last() else {
        return;
    };
    let tip = (end.0, end.1 - ARROW + 1.0);
    let mut data = format!("M{} {}", number(points[0].0), number(points[0].1));
    for pair in points.windows(2) {
        let (from, to) = (pair[0], if pair[1] == *end { tip } else { pair[1] });
        let [x, y] = [number(to.0), number(to.1)];
        if (from.0 - to.0).abs() < 0.01 {
            data += &format!("L{x} {y}");
        } else {
            let middle = number((from.1 + to.1) / 2.0);
            data += &format!("C{} {middle} {x} {middle} {x} {y}", number(from.0));
        }
    }
    drawing.path("edge", &data);
    let (left, right, top) = (
        number(end.0 - 4.0),
        number(end.0 + 4.0),
        number(end.1 - ARROW),
    );
    let (x, y) = (number(end.0), number(end.1));
    drawing.path("arrow", &format!("M{left} {top}L{right} {top}L{x} {y}Z"));
}

#[cfg(test)]
mod tests;

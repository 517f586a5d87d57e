//! Who lives where in the arena: the memory map of a model, as bars for a terminal and as a drawing.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use kinglet::Model;

use super::Report;
use crate::digits::grouped;
use crate::svg::{BODY, Drawing, shortened, width_of};

/// The widest bar, in letters.
const BAR: usize = 40;

/// A tensor's place in the arena.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tenant {
    /// Its number and what writes it.
    name: String,
    /// The layers at which it is there.
    layers: Range<usize>,
    bytes: Range<usize>,
}

/// What lies in the arena at one layer, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    /// What the layer writes, in the place of an input or not.
    written: usize,
    /// What it reads and does not write over.
    read: usize,
    /// What is kept for layers after it.
    kept: usize,
}

impl Use {
    fn all(self) -> usize {
        self.written + self.read + self.kept
    }
}

/// The memory map of a model, for one sample.
#[derive(Debug, Clone)]
pub struct MemoryMap {
    model: String,
    tenants: Vec<Tenant>,
    /// The layers' texts, and what each takes.
    layers: Vec<(String, Use)>,
    /// The number of the first layer's output.
    first: usize,
    /// Bytes of activations.
    len: usize,
}

impl MemoryMap {
    /// The map of `model`.
    pub fn of(model: &Model<'_>) -> Self {
        let rows = Report::of_model(model, 0).layers;
        let (inputs, nodes) = (model.inputs().len(), rows.len());
        let names = model.inputs().iter().map(|input| input.name.to_owned());
        let names = names.chain(rows.iter().map(|row| row.layer.clone()));
        let tensors = model.tensors().iter().zip(names).enumerate();
        let tenants: Vec<Tenant> = tensors
            .map(|(number, (tensor, name))| {
                let offset = tensor.offset as usize;
                Tenant {
                    name: format!("{number} {name}"),
                    layers: number.saturating_sub(inputs)..usize::from(tensor.last_use) + 1,
                    bytes: offset..offset + tensor.bytes(),
                }
            })
            .collect();
        let reads: Vec<Vec<usize>> = model
            .nodes()
            .iter()
            .map(|node| {
                node.inputs
                    .iter()
                    .map(|input| usize::from(*input))
                    .collect()
            })
            .collect();
        let uses = (0..nodes).map(|layer| {
            let written = inputs + layer;
            let lives = |number: &usize| tenants[*number].layers.contains(&layer);
            let is_elsewhere = |number: &usize| {
                *number != written && tenants[*number].bytes.start != tenants[written].bytes.start
            };
            let len = |number: usize| tenants[number].bytes.len();
            let others = (0..tenants.len()).filter(lives).filter(is_elsewhere);
            let (read, kept): (Vec<usize>, Vec<usize>) =
                others.partition(|number| reads[layer].contains(number));
            Use {
                written: len(written),
                read: read.into_iter().map(len).sum(),
                kept: kept.into_iter().map(len).sum(),
            }
        });
        let layers = rows.iter().map(|row| row.layer.clone()).zip(uses).collect();
        Self {
            model: model.name().to_owned(),
            first: inputs,
            layers,
            len: tenants
                .iter()
                .map(|tenant| tenant.bytes.end)
                .max()
                .unwrap_or(0),
            tenants,
        }
    }

    /// The layer that takes most, and the most that any layer of another size takes.
    fn peak(&self) -> Option<(usize, usize)> {
        let all = self.layers.iter().map(|(_, used)| used.all());
        let most = all.clone().max()?;
        let layer = all.clone().position(|bytes| bytes == most)?;
        let next = all.filter(|bytes| *bytes < most).max();
        Some((layer, next.unwrap_or(0)))
    }

    /// What makes the peak, and what would be gained without it.
    fn reason(&self) -> Option<String> {
        let (layer, next) = self.peak()?;
        let (text, used) = &self.layers[layer];
        let many = self
            .layers
            .iter()
            .filter(|(_, other)| other.all() == used.all());
        let others = match many.count() - 1 {
            0 => String::new(),
            1 => " (another takes as much)".to_owned(),
            count => format!(" ({count} others take as much)"),
        };
        let parts = [
            (used.written, "written"),
            (used.read, "read"),
            (used.kept, "kept for later"),
        ];
        let parts = parts.iter().filter(|(bytes, _)| *bytes > 0);
        let parts: Vec<String> = parts
            .map(|(bytes, what)| format!("{} {what}", grouped(*bytes as u64)))
            .collect();
        Some(format!(
            "most at layer {}, {text}: {} bytes, {}{others}; without it {}",
            layer + self.first,
            grouped(used.all() as u64),
            parts.join(", "),
            grouped(next as u64),
        ))
    }

    /// Whether the last layer that reads a tensor writes in its place.
    fn is_written_over(&self, tenant: &Tenant) -> bool {
        let mut others = self.tenants.iter().filter(|other| *other != tenant);
        others.any(|other| {
            other.layers.start + 1 == tenant.layers.end && other.bytes.start == tenant.bytes.start
        })
    }

    /// A drawing: layers from left to right, bytes upwards, a box for each tensor.
    pub fn drawing(&self) -> String {
        /// Around everything.
        const MARGIN: f64 = 24.0;
        const HEADER: f64 = 64.0;
        /// Of the map itself.
        const HEIGHT: f64 = 320.0;
        let count = self.layers.len().max(1) as f64;
        let column = (720.0 / count).clamp(22.0, 90.0);
        let reason = self.reason().unwrap_or_default();
        let left = MARGIN + width_of(&grouped(self.len as u64), BODY) + 8.0;
        let width = (left + column * count).max(MARGIN + width_of(&reason, BODY)) + MARGIN;
        let mut drawing = Drawing::new(width, HEADER + HEIGHT + 40.0);
        drawing.text(
            "title",
            (MARGIN, 22.0),
            &shortened(&self.model, 15.0, width - 2.0 * MARGIN),
        );
        drawing.text("muted", (MARGIN, 42.0), &reason);
        let x = |layer: usize| left + column * layer as f64;
        let y = |bytes: usize| HEADER + HEIGHT * (1.0 - bytes as f64 / self.len.max(1) as f64);
        for quarter in 0..=4 {
            let bytes = self.len * quarter / 4;
            drawing.line("grid", (left, y(bytes)), (x(self.layers.len()), y(bytes)));
            drawing.text("muted end", (left - 8.0, y(bytes)), &grouped(bytes as u64));
        }
        for (number, tenant) in self.tenants.iter().enumerate() {
            let Range { start, end } = tenant.layers;
            let title = format!(
                "{}: {} bytes from {} on, at layers {} to {}",
                tenant.name,
                grouped(tenant.bytes.len() as u64),
                grouped(tenant.bytes.start as u64),
                start + self.first,
                end - 1 + self.first,
            );
            drawing.open_titled("node", &title);
            let corner = (x(start) + 1.0, y(tenant.bytes.end));
            // Up to where it is written over.
            let end = (end - usize::from(self.is_written_over(tenant))).max(start + 1);
            let size = (
                column * (end - start) as f64 - 2.0,
                y(tenant.bytes.start) - y(tenant.bytes.end),
            );
            drawing.rect("box", corner, size);
            let colour = format!("stripe series-{}", number % 8 + 1);
            drawing.rect(&colour, corner, (4.0, size.1));
            if size.1 > BODY {
                let middle = (corner.0 + size.0 / 2.0 + 2.0, corner.1 + size.1 / 2.0);
                drawing.text("small middle", middle, &number.to_string());
            }
            drawing.close();
        }
        for layer in 0..self.layers.len() {
            let place = (x(layer) + column / 2.0, HEADER + HEIGHT + 14.0);
            drawing.text(
                "small muted middle",
                place,
                &(layer + self.first).to_string(),
            );
        }
        drawing.standalone(&format!("The memory map of {}", self.model))
    }
}

impl Display for MemoryMap {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let most = self.layers.iter().map(|(_, used)| used.all()).max();
        let most = most.unwrap_or(0).max(1);
        writeln!(
            f,
            "layer  bytes in use: \u{2588} written, \u{2592} read, \u{2591} kept for later"
        )?;
        for (layer, (_, used)) in self.layers.iter().enumerate() {
            // Rounded where they end, so that a bar is as long as its sum.
            let end = |bytes: usize| (bytes * BAR + most / 2) / most;
            let ends = [used.written, used.written + used.read, used.all()].map(end);
            let bar: String = (0..ends[2])
                .map(|at| match at {
                    at if at < ends[0] => '\u{2588}',
                    at if at < ends[1] => '\u{2592}',
                    _ => '\u{2591}',
                })
                .collect();
            let bytes = grouped(used.all() as u64);
            writeln!(f, "{:>5}  {bar:<BAR$} {bytes:>12}", layer + self.first)?;
        }
        match self.reason() {
            Some(reason) => writeln!(f, "{reason}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::{ExportSettings, export};
    use crate::model_file::ModelFile;
    use crate::recipe::Recipe;

    /// A residual block on 4x4 pixels of two channels: 128 bytes each.
    fn map() -> MemoryMap {
        let text = "name = \"block\"\ninput = [1, 4, 4]\nlayers = [\"x = Conv2d(1, 2, 3, padding=1)\", \
                    \"Conv2d(2, 2, 3, padding=1)\", \"relu(_ + x)\", \"AdaptiveAvgPool2d(1)\"]";
        let recipe = Recipe::parse(text, "x.toml".as_ref()).unwrap();
        let settings = ExportSettings {
            normalize: recipe.data.normalize,
            labels: Vec::new(),
            fine_tune_last: 0,
        };
        let (bytes, _) = export(recipe.graph.initialized(1), &settings).unwrap();
        MemoryMap::of(&ModelFile::from_bytes(&bytes).unwrap().model())
    }

    #[test]
    fn bytes_are_told_apart_by_what_a_layer_does_with_them() {
        let uses: Vec<Use> = map().layers.into_iter().map(|(_, used)| used).collect();
        let of = |written, read, kept| Use {
            written,
            read,
            kept,
        };
        // The sum takes the place of its first operand.
        let expected = [
            of(128, 64, 0),
            of(128, 128, 0),
            of(128, 128, 0),
            of(8, 128, 0),
        ];
        assert_eq!(uses, expected);
    }

    #[test]
    fn what_a_layer_has_no_part_in_is_kept() {
        let mut map = map();
        assert_eq!(map.peak(), Some((1, 192)));
        // As if the first layer's output were read by the last alone.
        map.layers[1].1 = Use {
            written: 128,
            read: 0,
            kept: 64,
        };
        let text = map.to_string();
        assert!(text.contains("    2  \u{2588}\u{2588}"), "{text}");
        let last = text.lines().last().unwrap();
        assert!(last.starts_with("most at layer 3, "), "{last}");
        assert!(
            last.ends_with("256 bytes, 128 written, 128 read; without it 192"),
            "{last}"
        );
        let bars: Vec<usize> = text
            .lines()
            .map(|line| line.matches('\u{2591}').count())
            .collect();
        assert_eq!(bars, [1, 0, 10, 0, 0, 0]);
    }

    #[test]
    fn every_tensor_is_a_box_where_it_lies() {
        let map = map();
        let text = map.drawing();
        assert_eq!(text.matches("<g class=\"node\">").count(), 5);
        assert!(text.contains("<title>0 input: 64 bytes from "), "{text}");
        assert!(text.contains(", at layers 1 to 1</title>"), "{text}");
        assert!(text.contains("without it 192</text>"), "{text}");
        assert_eq!(text, map.drawing());
    }
}

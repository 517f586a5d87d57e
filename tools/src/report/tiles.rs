//! Small pictures of pixels: the worst mistakes, and the weights of the first layer.

use kinglet_kernels::Shape;

use super::{FirstLayer, ReportError};
use crate::dataset::{Dataset, Sample};
use crate::graph::{Graph, Operation};
use crate::picture;

/// A small picture in three channels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tile {
    pub(super) shape: Shape,
    pub(super) pixels: Vec<u8>,
}

impl Tile {
    /// `bytes` of `shape` for the eye: three channels as colours, one as grey. Other numbers of channels lie
    /// beside each other in grey, since no colours are theirs.
    pub(super) fn new(shape: Shape, bytes: &[u8]) -> Self {
        let Shape {
            height,
            width,
            channels,
        } = shape;
        if channels == 3 {
            return Self {
                shape,
                pixels: bytes.to_vec(),
            };
        }
        let mut pixels = Vec::with_capacity(3 * shape.len());
        for row in bytes.chunks_exact(width * channels) {
            for channel in 0..channels {
                for pixel in row.chunks_exact(channels) {
                    pixels.extend([pixel[channel]; 3]);
                }
            }
        }
        Self {
            shape: Shape::new(height, width * channels, 3),
            pixels,
        }
    }

    /// Sample `index` of `data`; features as grey, the smallest black and the largest white.
    pub(super) fn of(data: &Dataset, index: usize) -> Self {
        match data.sample(index) {
            Sample::Image(bytes) => Self::new(data.shape(), bytes),
            Sample::Features(values) => {
                let low = values.iter().copied().fold(f32::INFINITY, f32::min);
                let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let scale = 255.0 / (high - low).max(f32::MIN_POSITIVE);
                let bytes: Vec<u8> = values.iter().map(|x| ((x - low) * scale) as u8).collect();
                Self::new(data.shape(), &bytes)
            }
        }
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// [`ReportError::Draw`].
    pub(super) fn png(&self) -> Result<Vec<u8>, ReportError> {
        picture::encode(self.shape, &self.pixels).map_err(ReportError::Draw)
    }

    /// Width and height within a square of `side`. What is much longer than wide is made less so: a line one
    /// pixel high could not be seen.
    pub(super) fn fitted(&self, side: f64) -> (f64, f64) {
        let ratio = (self.shape.width as f64 / self.shape.height as f64).clamp(0.25, 4.0);
        if ratio >= 1.0 {
            (side, side / ratio)
        } else {
            (side * ratio, side)
        }
    }
}

/// The weights of the first layer that has any, where it looks at the picture itself.
#[derive(Debug, Clone)]
pub(super) struct Weights {
    pub(super) layer: FirstLayer,
    pub(super) tiles: Vec<Tile>,
}

/// More are not drawn.
const MOST_TILES: usize = 256;
/// Largest extent of a window whose weights are still a pattern to look at.
const LARGEST: usize = 256;

impl Weights {
    /// The weights of `network`'s first layer, a tile for each output channel; none if that is not a
    /// convolution. Within a tile 0 is the middle grey, and the weight furthest from 0 black or white.
    pub(super) fn of(network: &Graph) -> Option<Self> {
        let mut nodes = network.nodes.iter();
        let node = nodes.find(|node| node.operation.parameters() > 0)?;
        let Operation::Conv2d {
            params, weights, ..
        } = &node.operation
        else {
            return None;
        };
        let window = params.window();
        let channels = params.input().channels / params.groups();
        let shape = Shape::new(window.kernel_h, window.kernel_w, channels);
        if shape.height.max(shape.width * channels) > LARGEST {
            return None;
        }
        let tiles = weights.chunks_exact(shape.len()).take(MOST_TILES);
        let tiles: Vec<Tile> = tiles
            .map(|values| Tile::new(shape, &normalized(values)))
            .collect();
        Some(Self {
            layer: FirstLayer {
                layer: node.name.clone(),
                tiles: params.output().channels,
                drawn: tiles.len(),
                colours: channels == 3,
            },
            tiles,
        })
    }

    /// Side of the square that a tile has on a page, in widths of a letter (`rem`).
    pub(super) fn side(&self) -> f64 {
        match self.tiles.len() {
            0..=16 => 5.0,
            17..=64 => 3.4,
            _ => 2.4,
        }
    }

    /// All tiles on a white sheet, as a PNG file.
    ///
    /// # Errors
    /// [`ReportError::Draw`].
    pub(super) fn sheet(&self) -> Result<Vec<u8>, ReportError> {
        /// Pixels between tiles and around them.
        const GAP: usize = 8;
        /// About the side of a tile, in pixels.
        const SIDE: usize = 80;
        let shape = self.tiles.first().map_or(Shape::new(1, 1, 3), |t| t.shape);
        let scale = (SIDE / shape.height.max(shape.width)).max(1);
        let (height, width) = (shape.height * scale + GAP, shape.width * scale + GAP);
        // About as wide as high, in full rows: 16 tiles as 8 and 8 rather than 15 and 1.
        let columns = (1..=self.tiles.len()).find(|n| n * n * width >= self.tiles.len() * height);
        let rows = self.tiles.len().div_ceil(columns.unwrap_or(1)).max(1);
        let columns = self.tiles.len().div_ceil(rows).max(1);
        let sheet = Shape::new(rows * height + GAP, columns * width + GAP, 3);
        let mut pixels = vec![255; sheet.len()];
        for (place, tile) in self.tiles.iter().enumerate() {
            let top = GAP + place / columns * height;
            let left = GAP + place % columns * width;
            for y in 0..shape.height * scale {
                for x in 0..shape.width * scale {
                    let from = 3 * (y / scale * shape.width + x / scale);
                    let to = 3 * ((top + y) * sheet.width + left + x);
                    pixels[to..to + 3].copy_from_slice(&tile.pixels[from..from + 3]);
                }
            }
        }
        picture::encode(sheet, &pixels).map_err(ReportError::Draw)
    }
}

/// Weights as bytes: 0 in the middle, the largest magnitude at an end.
fn normalized(weights: &[f32]) -> Vec<u8> {
    let largest = weights.iter().fold(0.0_f32, |a, w| a.max(w.abs()));
    let scale = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    let byte = |w: &f32| (128.0 + w * scale).round() as u8;
    weights.iter().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::recipe::Recipe;

    #[test]
    fn one_channel_is_grey_three_are_colours_and_others_lie_side_by_side() {
        let grey = Tile::new(Shape::new(1, 2, 1), &[5, 9]);
        assert_eq!(grey.pixels, [5, 5, 5, 9, 9, 9]);
        let colours = Tile::new(Shape::new(1, 1, 3), &[1, 2, 3]);
        assert_eq!(colours.pixels, [1, 2, 3]);
        let two = Tile::new(Shape::new(2, 2, 2), &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(two.shape, Shape::new(2, 4, 3));
        let firsts: Vec<u8> = two.pixels.iter().step_by(3).copied().collect();
        assert_eq!(firsts, [1, 3, 2, 4, 5, 7, 6, 8]);
    }

    #[test]
    fn thin_pictures_stay_visible() {
        let signal = Tile::new(Shape::new(1, 180, 1), &[0; 180]);
        assert_eq!(signal.fitted(100.0), (100.0, 25.0));
        let features = Tile::new(Shape::new(49, 10, 1), &[0; 490]);
        assert_eq!(features.fitted(98.0), (98.0 * 0.25, 98.0));
    }

    #[test]
    fn zero_is_middle_grey_and_the_furthest_weight_an_end() {
        assert_eq!(normalized(&[0.0, 2.0, -2.0, 1.0]), [128, 255, 1, 192]);
        assert_eq!(normalized(&[0.0, 0.0]), [128, 128]);
    }

    #[test]
    fn only_a_first_convolution_is_drawn() {
        let network = |layers: &str| {
            let text = format!("input = [3, 8, 8]\nlayers = [{layers}]");
            let recipe = Recipe::parse(&text, Path::new("test.toml")).unwrap();
            recipe.graph.initialized(1)
        };
        let weights = Weights::of(&network(r#""MaxPool2d(2)", "Conv2d(3, 5, (3, 2))""#)).unwrap();
        assert_eq!((weights.layer.tiles, weights.layer.drawn), (5, 5));
        assert_eq!(weights.tiles[0].shape, Shape::new(3, 2, 3));
        assert!(Weights::of(&network(r#""Flatten()", "Linear(192, 2)""#)).is_none());
    }
}

//! The picture that transforms change, with room for its next form: made once, used for many pictures.

use kinglet_kernels::Shape;

/// A picture's bytes, `[height, width, channels]`.
#[derive(Debug, Clone)]
pub struct Canvas {
    shape: Shape,
    pixels: Vec<u8>,
    /// What [`Canvas::redraw`] writes to, before it takes the place of `pixels`.
    spare: Vec<u8>,
}

impl Default for Canvas {
    fn default() -> Self {
        Self::new()
    }
}

impl Canvas {
    /// An empty canvas.
    pub fn new() -> Self {
        Self {
            shape: Shape::new(0, 0, 0),
            pixels: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Takes a copy of a picture; `pixels` are as many as the shape says.
    pub fn load(&mut self, shape: Shape, pixels: &[u8]) {
        debug_assert_eq!(shape.len(), pixels.len());
        self.shape = shape;
        self.pixels.clear();
        self.pixels.extend_from_slice(pixels);
    }

    /// The picture's shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The picture's bytes.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The picture's bytes, to be changed in place.
    pub(super) fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// Replaces the picture by one of `shape` that `draw` makes from the present bytes. `draw` writes all of it.
    pub(super) fn redraw(&mut self, shape: Shape, draw: impl FnOnce(&[u8], &mut [u8])) {
        self.spare.resize(shape.len(), 0);
        draw(&self.pixels, &mut self.spare);
        std::mem::swap(&mut self.pixels, &mut self.spare);
        self.shape = shape;
    }
}

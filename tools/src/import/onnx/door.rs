//! Where tensors of an ONNX file become a model's, and back.

use kinglet_kernels::Shape;

use crate::array_layout::ArrayLayout;

/// How a tensor of the file lies in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Axis 1 of the file's tensor, its channels, is the model's last.
    ChannelsFirst,
    /// Element by element in the file's order.
    AsInFile,
    /// The same, rows and columns of a picture that the file has no axis of channels for: `[1, 28, 28]`.
    Gray,
}

/// What the 8-bit numbers of a tensor of the file mean: `scale * (number - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Numbers {
    /// The real distance of neighboring numbers.
    pub scale: f32,
    /// The number that means 0.
    pub zero_point: i16,
    /// Whether they are int8, or else uint8.
    pub signed: bool,
}

impl Numbers {
    /// What a number means.
    pub fn real(&self, number: i16) -> f32 {
        (i32::from(number) - i32::from(self.zero_point)) as f32 * self.scale
    }
}

/// An input or an output of an imported network.
#[derive(Debug, Clone, PartialEq)]
pub struct Door {
    /// What the file calls it.
    pub name: String,
    /// Its dimensions in the file, the batch included.
    pub dims: Vec<usize>,
    /// How it lies in the model.
    pub layout: Layout,
    /// What its numbers mean, where they are 8-bit ones in the file; the model's are real.
    pub numbers: Option<Numbers>,
}

impl Door {
    /// The layouts that a tensor of these dimensions may have, the usual one first.
    pub(super) fn layouts(dims: &[usize]) -> &'static [Layout] {
        match dims {
            [1, _, _] | [1, _, _, _] => &[Layout::ChannelsFirst, Layout::AsInFile],
            _ => &[Layout::AsInFile],
        }
    }

    /// Whether a tensor of these dimensions may be a gray picture.
    pub(super) fn may_be_gray(dims: &[usize]) -> bool {
        matches!(dims, [1, height, width] if *height > 1 && *width > 1)
    }

    /// Shape of the model's tensor (NHWC).
    pub fn shape(&self) -> Shape {
        match (self.layout, self.dims.as_slice()) {
            (Layout::ChannelsFirst, &[_, channels, height, width]) => {
                Shape::new(height, width, channels)
            }
            (Layout::ChannelsFirst, &[_, channels, length]) => Shape::new(1, length, channels),
            (Layout::Gray, &[_, height, width]) => Shape::new(height, width, 1),
            (_, dims) => in_order(dims),
        }
    }

    /// How its arrays lie in the model.
    pub fn array(&self) -> ArrayLayout {
        let (shape, sample) = (self.shape(), sample(&self.dims));
        match self.layout {
            Layout::ChannelsFirst => ArrayLayout::channels_first_as(shape, sample),
            Layout::AsInFile | Layout::Gray => ArrayLayout::in_order(shape, sample),
        }
    }
}

/// The dimensions of one sample: without the batch, if that is 1.
fn sample(dims: &[usize]) -> &[usize] {
    match dims {
        [1, sample @ ..] => sample,
        dims => dims,
    }
}

/// The shape with the elements of `dims` in the same order.
pub(super) fn in_order(dims: &[usize]) -> Shape {
    match sample(dims) {
        [] => Shape::vector(1),
        &[channels] => Shape::vector(channels),
        &[width, channels] => Shape::new(1, width, channels),
        &[ref height @ .., width, channels] => Shape::new(height.iter().product(), width, channels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_goes_in_and_out_by_its_channels() {
        let mut door = Door {
            name: "x".into(),
            dims: vec![1, 2, 2, 3],
            layout: Layout::ChannelsFirst,
            numbers: None,
        };
        let values: Vec<f32> = (0..24u8).map(f32::from).collect();
        let nhwc = door.array().to_model(values.clone());
        assert_eq!(nhwc[..6], [0.0, 6.0, 1.0, 7.0, 2.0, 8.0]);
        assert_eq!(nhwc[12..14], [12.0, 18.0]);
        assert_eq!(door.array().to_array(nhwc), values);
        assert_eq!(door.shape(), Shape::new(2, 3, 2));
        door.layout = Layout::AsInFile;
        assert_eq!(door.array().to_model(values.clone()), values);
        assert_eq!(door.shape(), Shape::new(2, 2, 3));
    }
}

//! Where tensors of an ONNX file become a model's, and back.

use kinglet_kernels::Shape;

/// How a tensor of the file lies in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Axis 1 of the file's tensor, its channels, is the model's last.
    ChannelsFirst,
    /// Element by element in the file's order.
    AsInFile,
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

/// The input or the output of an imported network.
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

    /// Shape of the model's tensor (NHWC).
    pub fn shape(&self) -> Shape {
        match (self.layout, self.dims.as_slice()) {
            (Layout::ChannelsFirst, &[_, channels, height, width]) => {
                Shape::new(height, width, channels)
            }
            (Layout::ChannelsFirst, &[_, channels, length]) => Shape::new(1, length, channels),
            (_, dims) => in_order(dims),
        }
    }

    /// The model's elements, of one or more samples, from those of a tensor of the file.
    pub fn to_model(&self, values: &[f32]) -> Vec<f32> {
        let shape = self.shape();
        let positions = shape.height * shape.width;
        match self.layout {
            Layout::ChannelsFirst => exchange(values, shape.channels, positions),
            Layout::AsInFile => values.to_vec(),
        }
    }

    /// The elements of a tensor of the file, of one or more samples, from the model's.
    pub fn to_file(&self, values: &[f32]) -> Vec<f32> {
        let shape = self.shape();
        let positions = shape.height * shape.width;
        match self.layout {
            Layout::ChannelsFirst => exchange(values, positions, shape.channels),
            Layout::AsInFile => values.to_vec(),
        }
    }
}

/// The shape with the elements of `dims` in the same order.
pub(super) fn in_order(dims: &[usize]) -> Shape {
    let sample = match dims {
        [1, sample @ ..] => sample,
        dims => dims,
    };
    match sample {
        [] => Shape::vector(1),
        &[channels] => Shape::vector(channels),
        &[width, channels] => Shape::new(1, width, channels),
        &[ref height @ .., width, channels] => Shape::new(height.iter().product(), width, channels),
    }
}

/// Each sample as a matrix of `rows` by `columns`, transposed.
fn exchange(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let samples = values.chunks_exact((rows * columns).max(1));
    samples
        .flat_map(|sample| (0..sample.len()).map(move |i| sample[i % rows * columns + i / rows]))
        .collect()
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
        let nhwc = door.to_model(&values);
        assert_eq!(nhwc[..6], [0.0, 6.0, 1.0, 7.0, 2.0, 8.0]);
        assert_eq!(nhwc[12..14], [12.0, 18.0]);
        assert_eq!(door.to_file(&nhwc), values);
        assert_eq!(door.shape(), Shape::new(2, 3, 2));
        door.layout = Layout::AsInFile;
        assert_eq!(door.to_model(&values), values);
        assert_eq!(door.shape(), Shape::new(2, 2, 3));
    }
}

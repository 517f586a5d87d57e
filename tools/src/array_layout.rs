//! How the arrays that people have lie in a model's tensors, and back. Inside everything is NHWC; arrays are as the
//! file that the model was made from has them, or in the order that is asked for. The change of order happens here and
//! nowhere else.

use kinglet::model::schema::{MAX_RANK, Source};
use kinglet_kernels::{Axis, Shape};
use ndarray::ArrayView4;

const CHANNELS_FIRST: [Axis; 3] = [Axis::Channels, Axis::Height, Axis::Width];
const CHANNELS_LAST: [Axis; 3] = [Axis::Height, Axis::Width, Axis::Channels];

/// An order of axes that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "program", derive(clap::ValueEnum))]
pub enum Layout {
    /// Batch, channels, height, width
    Nchw,
    /// Batch, height, width, channels
    Nhwc,
}

/// A tensor of a model as an array: its elements, with the axes in another order, in another shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayLayout {
    /// Of one sample of the tensor.
    shape: Shape,
    /// Shape of one sample of the array: the batch comes before it.
    array: Vec<usize>,
    /// The tensor's axes as the array has them, the outermost first.
    order: [Axis; 3],
}

impl ArrayLayout {
    /// How a tensor of `shape` lies in the source; None if as it does in the model.
    pub fn new(shape: Shape, source: Option<&Source>) -> Self {
        let Some(source) = source else {
            return Self::channels_last(shape);
        };
        Self {
            shape,
            array: source.shape.iter().map(|extent| *extent as usize).collect(),
            order: source.order,
        }
    }

    /// `[channels, height, width]`; of a vector `[features]`.
    pub fn channels_first(shape: Shape) -> Self {
        let Shape {
            height,
            width,
            channels,
        } = shape;
        match is_vector(shape) {
            true => Self::channels_last(shape),
            false => Self {
                shape,
                array: vec![channels, height, width],
                order: CHANNELS_FIRST,
            },
        }
    }

    /// `[height, width, channels]`; of a vector `[features]`.
    pub fn channels_last(shape: Shape) -> Self {
        let Shape {
            height,
            width,
            channels,
        } = shape;
        let array = match is_vector(shape) {
            true => vec![channels],
            false => vec![height, width, channels],
        };
        Self {
            shape,
            array,
            order: CHANNELS_LAST,
        }
    }

    /// An array of the shape `array` of the same elements in the same order as `shape` has them.
    pub(crate) fn in_order(shape: Shape, array: &[usize]) -> Self {
        Self {
            shape,
            array: array.to_vec(),
            order: CHANNELS_LAST,
        }
    }

    /// An array of the shape `array` whose channels come first.
    pub(crate) fn channels_first_as(shape: Shape, array: &[usize]) -> Self {
        Self {
            shape,
            array: array.to_vec(),
            order: CHANNELS_FIRST,
        }
    }

    /// What a model file says of it. None if there is nothing to say: it lies as the tensor does, or has more axes
    /// than a file can say, which only arrays in the tensor's order have.
    pub fn source(&self) -> Option<Source> {
        let is_usual = *self == Self::channels_last(self.shape);
        let extents = self.array.iter().map(|extent| u32::try_from(*extent));
        let extents: Result<Vec<u32>, _> = extents.collect();
        let extents = extents.ok()?;
        (!is_usual && extents.len() <= MAX_RANK).then(|| Source {
            shape: extents.into_iter().collect(),
            order: self.order,
        })
    }

    /// The same tensor with its axes in the order `layout`, if there is one. What has no rows in the source has none
    /// then.
    pub fn with(self, layout: Option<Layout>) -> Self {
        let turned = match layout {
            None => return self,
            Some(Layout::Nchw) => Self::channels_first(self.shape),
            Some(Layout::Nhwc) => Self::channels_last(self.shape),
        };
        let is_flat = self.shape.height == 1 && self.array.len() <= 2 && turned.array.len() == 3;
        let Shape {
            width, channels, ..
        } = self.shape;
        match (is_flat, layout) {
            (false, _) => turned,
            (true, Some(Layout::Nchw)) => Self {
                array: vec![channels, width],
                ..turned
            },
            (true, _) => Self {
                array: vec![width, channels],
                ..turned
            },
        }
    }

    /// Shape of the tensor.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Shape of one sample of the array.
    pub fn array(&self) -> &[usize] {
        &self.array
    }

    /// Shape of the pictures that are such arrays: what has two axes is a gray one.
    pub fn picture(&self) -> Shape {
        match *self.array {
            [height, width] => Shape::new(height, width, 1),
            _ => self.shape,
        }
    }

    /// How many samples an array of the shape `found` has; None if it has another layout. The batch comes first; of one
    /// sample it may be left out, and so may axes of one element, which may also be there where none are here.
    pub fn batch(&self, found: &[usize]) -> Option<usize> {
        let is_sample = |found: &[usize]| {
            let longer = |axis: &&usize| **axis != 1;
            let (found, own) = (found.iter().filter(longer), self.array.iter());
            found.eq(own.filter(longer))
        };
        let batch = match found.split_first() {
            Some((batch, sample)) if is_sample(sample) => *batch,
            _ if is_sample(found) => 1,
            _ => return None,
        };
        Some(batch).filter(|batch| *batch > 0)
    }

    /// What an array looks like, as `(batch, 3, 32, 32)`.
    pub fn describe(&self) -> String {
        let extents: Vec<String> = self.array.iter().map(usize::to_string).collect();
        match extents.is_empty() {
            true => "(batch,)".to_owned(),
            false => format!("(batch, {})", extents.join(", ")),
        }
    }

    /// The layouts that could be asked for and that an array of the shape `found` has.
    pub fn others(&self, found: &[usize]) -> Vec<Layout> {
        let fits = |layout: &Layout| self.clone().with(Some(*layout)).batch(found).is_some();
        [Layout::Nchw, Layout::Nhwc]
            .into_iter()
            .filter(fits)
            .collect()
    }

    /// The tensor's elements, of whole samples, from the array's.
    ///
    /// # Panics
    /// If they are not whole samples.
    pub fn to_model<T: Copy>(&self, values: Vec<T>) -> Vec<T> {
        let extents = self.order.map(|axis| self.extent(axis));
        let places = CHANNELS_LAST.map(|axis| self.place(axis));
        permuted(values, extents, places)
    }

    /// The tensor's elements, of whole samples, from those of pictures of the shape [`picture`](Self::picture), NHWC.
    ///
    /// # Panics
    /// If they are not whole samples.
    pub fn picture_to_model<T: Copy>(&self, pixels: Vec<T>) -> Vec<T> {
        match self.picture() == self.shape {
            true => pixels,
            // The rows of a gray picture are those of the array.
            false => self.to_model(pixels),
        }
    }

    /// The array's elements, of whole samples, from the tensor's.
    ///
    /// # Panics
    /// If they are not whole samples.
    pub fn to_array<T: Copy>(&self, values: Vec<T>) -> Vec<T> {
        let extents = CHANNELS_LAST.map(|axis| self.extent(axis));
        let places = self.order.map(|axis| axis as usize);
        permuted(values, extents, places)
    }

    fn extent(&self, axis: Axis) -> usize {
        match axis {
            Axis::Height => self.shape.height,
            Axis::Width => self.shape.width,
            Axis::Channels => self.shape.channels,
        }
    }

    /// Where the array has the tensor's `axis`.
    fn place(&self, axis: Axis) -> usize {
        let place = self.order.iter().position(|own| *own == axis);
        place.expect("each axis is there once")
    }
}

fn is_vector(shape: Shape) -> bool {
    (shape.height, shape.width) == (1, 1)
}

/// Samples of `extents` with the axes in the order `places`.
fn permuted<T: Copy>(values: Vec<T>, [a, b, c]: [usize; 3], places: [usize; 3]) -> Vec<T> {
    if places == [0, 1, 2] {
        return values;
    }
    let batch = values.len() / (a * b * c).max(1);
    let samples = ArrayView4::from_shape((batch, a, b, c), &values).expect("whole samples");
    let [a, b, c] = places.map(|place| place + 1);
    let turned = samples.permuted_axes([0, a, b, c]);
    turned.iter().copied().collect()
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nchw => "nchw",
            Self::Nhwc => "nhwc",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_go_there_and_come_back() {
        let layout = ArrayLayout::channels_first(Shape::new(2, 3, 2));
        let values: Vec<usize> = (0..24).collect();
        let nhwc = layout.to_model(values.clone());
        assert_eq!(nhwc[..6], [0, 6, 1, 7, 2, 8]);
        assert_eq!(nhwc[12..14], [12, 18]);
        assert_eq!(layout.to_array(nhwc), values);
        // An order that is not its own inverse's.
        let source = Source {
            shape: [2, 2, 3].into_iter().collect(),
            order: [Axis::Channels, Axis::Height, Axis::Width],
        };
        assert_eq!(layout, ArrayLayout::new(Shape::new(2, 3, 2), Some(&source)));
        assert_eq!(layout.source(), Some(source));
        let last = ArrayLayout::channels_last(Shape::new(2, 3, 2));
        assert_eq!(last.to_model(values.clone()), values);
        assert_eq!(last.source(), None);
    }

    #[test]
    fn a_batch_comes_first_and_may_be_left_out_of_one_sample() {
        let layout = ArrayLayout::channels_first(Shape::new(32, 30, 3));
        for (found, batch) in [
            (&[5, 3, 32, 30][..], Some(5)),
            (&[1, 3, 32, 30], Some(1)),
            (&[3, 32, 30], Some(1)),
            (&[1, 32, 30, 3], None),
            (&[0, 3, 32, 30], None),
            (&[3, 30, 32], None),
            (&[], None),
        ] {
            assert_eq!(layout.batch(found), batch, "{found:?}");
        }
        assert_eq!(layout.others(&[4, 32, 30, 3]), [Layout::Nhwc]);
        assert_eq!(layout.others(&[4, 32, 3]), []);
        assert_eq!(layout.describe(), "(batch, 3, 32, 30)");
    }

    #[test]
    fn a_gray_picture_needs_no_axis_of_channels() {
        let shape = Shape::new(28, 28, 1);
        let two_axes = ArrayLayout::in_order(Shape::new(1, 28, 28), &[28, 28]);
        for layout in [
            ArrayLayout::channels_first(shape),
            ArrayLayout::channels_last(shape),
            two_axes,
        ] {
            assert_eq!(layout.picture(), shape);
            for (found, batch) in [
                (&[28, 28][..], 1),
                (&[1, 28, 28], 1),
                (&[28, 28, 1], 1),
                (&[7, 28, 28], 7),
                (&[28, 28, 28], 28),
                (&[7, 1, 28, 28], 7),
                (&[7, 28, 28, 1], 7),
            ] {
                assert_eq!(layout.batch(found), Some(batch), "{found:?}");
            }
        }
    }

    #[test]
    fn vectors_and_single_numbers() {
        let vector = ArrayLayout::channels_first(Shape::vector(10));
        assert_eq!(vector.source(), None);
        for (found, batch) in [
            (&[10][..], Some(1)),
            (&[4, 10], Some(4)),
            (&[4, 10, 1, 1], Some(4)),
            (&[4, 9], None),
        ] {
            assert_eq!(vector.batch(found), batch, "{found:?}");
        }
        let number = ArrayLayout::in_order(Shape::vector(1), &[]);
        assert_eq!(number.batch(&[6]), Some(6));
        assert_eq!(number.batch(&[]), Some(1));
        assert_eq!(number.describe(), "(batch,)");
    }

    #[test]
    fn an_order_that_is_asked_for_keeps_the_axes_that_there_are() {
        let series = ArrayLayout::channels_first_as(Shape::new(1, 128, 9), &[9, 128]);
        let turned = series.clone().with(Some(Layout::Nhwc));
        assert_eq!(turned.array(), [128, 9]);
        assert_eq!(turned.with(Some(Layout::Nchw)), series);
        let maps = ArrayLayout::channels_last(Shape::new(1, 8, 3));
        assert_eq!(maps.clone().with(Some(Layout::Nchw)).array(), [3, 1, 8]);
        assert_eq!(maps.clone().with(None), maps);
    }
}

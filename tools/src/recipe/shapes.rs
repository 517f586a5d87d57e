//! Follows the shape of one picture through the layers, and refuses a layer that does not fit what comes in.

use kinglet_kernels::{
    Activation, Axis, Binary, BinaryFunction, Concat, Conv2d, CountPadding, Linear, Padding,
    ParamsError, Pool2d, Rounding, Shape, Window,
};

use super::arguments::Pair;
use super::call::Call;
use super::error::{CallProblem, ChannelsFirst};
use super::layer::{ConvPadding, LayerArguments};
use crate::graph::{BatchNorm2d, Granularity, Operation};

/// Largest output of one layer for one picture, in values: 256 MB of f32.
const MAX_OUTPUT: usize = 1 << 26;

/// Largest number of parameters of one layer: 256 MB of f32, and training needs several times that.
const MAX_PARAMETERS: usize = 1 << 26;

/// What reaches the next layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    pub(super) shape: Shape,
    /// The shape before `Flatten()`, once that has been passed.
    flattened: Option<ChannelsFirst>,
    flat: bool,
}

impl Flow {
    pub(super) fn new(input: Shape) -> Self {
        Self {
            shape: input,
            flattened: None,
            flat: false,
        }
    }

    /// Vectors of so many features, as if `Flatten()` had been passed.
    pub(super) fn of_vector(features: usize) -> Self {
        Self {
            shape: Shape::vector(features),
            flattened: None,
            flat: true,
        }
    }

    /// Reads the next layer as [`Flow::layer`].
    #[cfg(test)]
    pub(super) fn next(&mut self, text: &str) -> Result<Operation, CallProblem> {
        self.layer(&Call::parse(text)?)
    }

    /// Checks the next layer against what comes in and moves on to what it puts out.
    pub(super) fn layer(&mut self, call: &Call) -> Result<Operation, CallProblem> {
        let arguments = LayerArguments::from_call(call)?;
        let (operation, output) = self.apply(call, arguments)?;
        self.shape = output;
        Ok(operation)
    }

    fn apply(
        &mut self,
        call: &Call,
        arguments: LayerArguments,
    ) -> Result<(Operation, Shape), CallProblem> {
        let input = self.shape;
        match arguments {
            LayerArguments::Conv2d {
                in_channels,
                out_channels,
                kernel,
                stride,
                padding,
                dilation,
                groups,
                bias,
            } => {
                self.picture()?;
                self.channels(call, "in_channels", in_channels)?;
                let window = window(kernel, stride)
                    .with_dilation(dilation.0, dilation.1)
                    .with_padding(explicit_padding(padding, kernel, dilation));
                let params = Conv2d::new(input, out_channels, window, groups, Activation::Identity)
                    .map_err(|problem| self.geometry(problem))?;
                let output = small(params.output())?;
                few(params.weights_len(), out_channels, bias)?;
                Ok((Operation::conv2d(params, bias), output))
            }
            LayerArguments::MaxPool2d {
                kernel,
                stride,
                padding,
                dilation,
                rounding,
            } => {
                self.picture()?;
                let window = window(kernel, stride)
                    .with_dilation(dilation.0, dilation.1)
                    .with_padding(Padding::symmetric(padding.0, padding.1));
                let params = self.pool(window, rounding, CountPadding::Include)?;
                Ok((Operation::MaxPool2d(params), small(params.output())?))
            }
            LayerArguments::AvgPool2d {
                kernel,
                stride,
                padding,
                rounding,
                count_padding,
            } => {
                self.picture()?;
                let window =
                    window(kernel, stride).with_padding(Padding::symmetric(padding.0, padding.1));
                let params = self.pool(window, rounding, count_padding)?;
                Ok((Operation::AvgPool2d(params), small(params.output())?))
            }
            LayerArguments::AdaptiveAvgPool2d { output } => {
                self.picture()?;
                let out_height = output.0.unwrap_or(input.height);
                let out_width = output.1.unwrap_or(input.width);
                if !input.height.is_multiple_of(out_height)
                    || !input.width.is_multiple_of(out_width)
                {
                    return Err(CallProblem::Adaptive {
                        height: input.height,
                        width: input.width,
                        out_height,
                        out_width,
                    });
                }
                let kernel = (input.height / out_height, input.width / out_width);
                let params = self.pool(
                    window(kernel, kernel),
                    Rounding::Floor,
                    CountPadding::Include,
                )?;
                Ok((Operation::AvgPool2d(params), small(params.output())?))
            }
            LayerArguments::Unary(function) => Ok((Operation::Unary(function), input)),
            LayerArguments::Softmax { dim } => {
                // Of [batch, features], -1 is 1; of [batch, channels, height, width], -3 is.
                if dim != 1 && (dim == -1) != self.flat {
                    return Err(CallProblem::Argument {
                        name: "dim",
                        found: dim.to_string(),
                        right: "1 (the channels)",
                    });
                }
                Ok((Operation::Softmax, input))
            }
            LayerArguments::BatchNorm2d {
                features,
                epsilon,
                momentum,
            } => {
                self.picture()?;
                self.channels(call, "num_features", features)?;
                let of = BatchNorm2d::zeroed(features, epsilon, momentum);
                Ok((Operation::BatchNorm2d(of), input))
            }
            LayerArguments::Dropout(p) => Ok((dropout(p, Granularity::Value), input)),
            LayerArguments::Dropout2d(p) => {
                self.picture()?;
                Ok((dropout(p, Granularity::Channel), input))
            }
            LayerArguments::Flatten => {
                if !self.flat {
                    self.flattened = Some(ChannelsFirst(input));
                }
                self.flat = true;
                let output = Shape::vector(input.len());
                Ok((Operation::Reshape { output }, output))
            }
            LayerArguments::Linear {
                in_features,
                out_features,
                bias,
            } => {
                self.features(call, in_features)?;
                let params = Linear::new(in_features, out_features, Activation::Identity)
                    .map_err(|problem| self.geometry(problem))?;
                self.flattened = None;
                few(params.weights_len(), out_features, bias)?;
                let output = small(Shape::vector(out_features))?;
                Ok((Operation::linear(params, bias), output))
            }
        }
    }

    /// Whether it has passed `Flatten()`.
    pub(super) fn is_flat(&self) -> bool {
        self.flat
    }

    /// Whether values have an order that is the same here and there: pictures have, and so have vectors unless a picture was
    /// flattened to one and the other not.
    fn is_ordered_as(&self, other: &Self) -> bool {
        let forgotten = |flow: &Self| {
            let picture = flow.flattened.map(|ChannelsFirst(shape)| shape);
            picture.filter(|shape| shape.height * shape.width > 1)
        };
        self.flat == other.flat && forgotten(self) == forgotten(other)
    }

    /// A function of two values: what it computes of which first, and what reaches the next layer; None if they do not go
    /// together.
    pub(super) fn binary(
        left: Self,
        right: Self,
        function: BinaryFunction,
    ) -> Option<(BinaryFunction, [usize; 2], Self)> {
        let fits =
            |shape, operand| Binary::new(function, Activation::Identity, shape, operand).is_ok();
        if !left.is_ordered_as(&right) {
            None
        } else if fits(left.shape, right.shape) {
            Some((function, [0, 1], left))
        } else if fits(right.shape, left.shape) {
            let turned = match function {
                BinaryFunction::Subtract => BinaryFunction::ReverseSubtract,
                BinaryFunction::Divide => BinaryFunction::ReverseDivide,
                other => other,
            };
            Some((turned, [1, 0], right))
        } else {
            None
        }
    }

    /// Two values one after the other along the channels; None if they do not go together.
    pub(super) fn concat(left: Self, right: Self) -> Option<Self> {
        let joined = Concat::new(Axis::Channels, &[left.shape, right.shape]).ok()?;
        (left.flat == right.flat).then_some(Self {
            shape: joined.output(),
            flattened: None,
            flat: left.flat,
        })
    }

    fn picture(&self) -> Result<(), CallProblem> {
        if self.flat {
            return Err(CallProblem::Flat {
                features: self.shape.len(),
            });
        }
        Ok(())
    }

    fn channels(
        &self,
        call: &Call,
        argument: &'static str,
        found: usize,
    ) -> Result<(), CallProblem> {
        let right = self.shape.channels;
        if found == right {
            return Ok(());
        }
        Err(CallProblem::Channels {
            argument,
            found,
            right,
            input: ChannelsFirst(self.shape),
            fixed: call.with_first(argument, right).to_string(),
        })
    }

    fn features(&self, call: &Call, found: usize) -> Result<(), CallProblem> {
        let right = self.shape.len();
        let fixed = || call.with_first("in_features", right).to_string();
        if !self.flat {
            return Err(CallProblem::NotFlat {
                input: ChannelsFirst(self.shape),
                found,
                right,
                fixed: fixed(),
            });
        }
        if found != right {
            return Err(CallProblem::Features {
                found,
                right,
                before_flatten: self.flattened,
                fixed: fixed(),
            });
        }
        Ok(())
    }

    fn pool(
        &self,
        window: Window,
        rounding: Rounding,
        count_padding: CountPadding,
    ) -> Result<Pool2d, CallProblem> {
        Pool2d::new(self.shape, window, rounding, count_padding)
            .map_err(|problem| self.geometry(problem))
    }

    fn geometry(&self, problem: ParamsError) -> CallProblem {
        CallProblem::Geometry {
            problem,
            input: ChannelsFirst(self.shape),
        }
    }
}

/// Refuses an output too large.
pub(super) fn small(output: Shape) -> Result<Shape, CallProblem> {
    match output.len() {
        len if len > MAX_OUTPUT => Err(CallProblem::OutputTooLarge(len, MAX_OUTPUT)),
        _ => Ok(output),
    }
}

/// Refuses too many parameters, before there is memory for them.
fn few(weights: usize, outputs: usize, bias: bool) -> Result<(), CallProblem> {
    let parameters = weights.saturating_add(if bias { outputs } else { 0 });
    match parameters {
        count if count > MAX_PARAMETERS => {
            Err(CallProblem::TooManyParameters(count, MAX_PARAMETERS))
        }
        _ => Ok(()),
    }
}

fn dropout(probability: f32, granularity: Granularity) -> Operation {
    Operation::Dropout {
        probability,
        granularity,
    }
}

fn window(kernel: Pair, stride: Pair) -> Window {
    Window::new(kernel.0, kernel.1).with_stride(stride.0, stride.1)
}

/// PyTorch's 'same': `dilation * (kernel - 1)` in all, the smaller half above and left.
fn explicit_padding(padding: ConvPadding, kernel: Pair, dilation: Pair) -> Padding {
    match padding {
        ConvPadding::Symmetric((vertical, horizontal)) => Padding::symmetric(vertical, horizontal),
        ConvPadding::Same => {
            let vertical = dilation.0.saturating_mul(kernel.0 - 1);
            let horizontal = dilation.1.saturating_mul(kernel.1 - 1);
            Padding {
                top: vertical / 2,
                bottom: vertical - vertical / 2,
                left: horizontal / 2,
                right: horizontal - horizontal / 2,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each layer with the shape of its output.
    fn follow(input: Shape, layers: &[&str]) -> Result<Vec<(Operation, Shape)>, String> {
        let mut flow = Flow::new(input);
        let next = |text: &&str| {
            let operation = flow.next(text).map_err(|problem| problem.to_string())?;
            Ok((operation, flow.shape))
        };
        layers.iter().map(next).collect()
    }

    fn output(input: Shape, layers: &[&str]) -> Shape {
        follow(input, layers).unwrap().last().unwrap().1
    }

    fn error(input: Shape, layers: &[&str]) -> String {
        follow(input, layers).unwrap_err()
    }

    const PHOTO: Shape = Shape::new(32, 32, 3);

    #[test]
    fn the_lessons_quiz_net_has_its_numbers() {
        let layers = follow(
            Shape::new(130, 130, 3),
            &[
                "Conv2d(3, 10, 3)",
                "MaxPool2d(4, 4)",
                "Conv2d(10, 20, 5, padding=2)",
                "MaxPool2d(2, 2)",
                "Flatten()",
            ],
        )
        .unwrap();
        let shapes: Vec<String> = layers
            .iter()
            .map(|l| ChannelsFirst(l.1).to_string())
            .collect();
        assert_eq!(
            shapes,
            ["10x128x128", "10x32x32", "20x32x32", "20x16x16", "5120x1x1"]
        );
        assert_eq!(
            (layers[0].0.parameters(), layers[2].0.parameters()),
            (280, 5020)
        );
    }

    #[test]
    fn the_lessons_sequential_example_has_its_numbers() {
        let layers = [
            "Conv2d(1, 16, 2, stride=2)",
            "MaxPool2d(2, 2)",
            "ReLU(True)",
            "Conv2d(16, 32, 3, padding=1)",
            "MaxPool2d(2, 2)",
            "ReLU(True)",
            "Flatten()",
        ];
        let at_28 = follow(Shape::new(28, 28, 1), &layers).unwrap();
        assert_eq!(
            (at_28[0].0.parameters(), at_28[3].0.parameters()),
            (80, 4640)
        );
        assert_eq!(at_28.last().unwrap().1, Shape::vector(288));
        assert_eq!(output(Shape::new(32, 32, 1), &layers), Shape::vector(512));
        assert_eq!(
            output(Shape::new(130, 130, 1), &layers),
            Shape::vector(8192)
        );
    }

    #[test]
    fn a_wrong_linear_names_the_right_number() {
        assert_eq!(
            error(
                PHOTO,
                &[
                    "Conv2d(3, 16, 3, padding=1)",
                    "MaxPool2d(2)",
                    "Flatten()",
                    "Linear(1024, 500, bias=False)"
                ]
            ),
            "in_features is 1024, but 4096 values come in (16x16x16 flattened): \
             write Linear(4096, 500, bias=False)"
        );
        assert_eq!(
            error(
                PHOTO,
                &[
                    "Flatten()",
                    "Linear(3072, 50)",
                    "Linear(in_features=60, out_features=10)"
                ]
            ),
            "in_features is 60, but 50 values come in: write Linear(in_features=50, out_features=10)"
        );
        assert_eq!(
            error(PHOTO, &["Linear(3072, 50)"]),
            "its input is 3x32x32 (channels, height, width), not flat: put \"Flatten()\" before it"
        );
        assert_eq!(
            error(PHOTO, &["Linear(10, 50)"]),
            "its input is 3x32x32 (channels, height, width), not flat: put \"Flatten()\" before it \
             and write Linear(3072, 50)"
        );
    }

    #[test]
    fn wrong_channels_name_the_right_number() {
        assert_eq!(
            error(
                PHOTO,
                &[
                    "Conv2d(3, 16, 3)",
                    "ReLU()",
                    "nn.Conv2d(32, 64, 3, padding=(1, 0))"
                ]
            ),
            "in_channels is 32, but 16 channels come in (16x30x30): write Conv2d(16, 64, 3, padding=(1, 0))"
        );
        assert_eq!(
            error(PHOTO, &["BatchNorm2d(num_features=4)"]),
            "num_features is 4, but 3 channels come in (3x32x32): write BatchNorm2d(num_features=3)"
        );
    }

    #[test]
    fn layers_out_of_place_are_refused() {
        assert_eq!(
            error(PHOTO, &["Flatten()", "Conv2d(3, 16, 3)"]),
            "its input is flat (3072 values), but it needs channels, height and width: put it before \"Flatten()\""
        );
        assert_eq!(
            error(PHOTO, &["AdaptiveAvgPool2d(3)"]),
            "the input's 32 x 32 is not a multiple of 3 x 3; it must be"
        );
        assert_eq!(
            error(PHOTO, &["MaxPool2d(8)", "Conv2d(3, 4, 5)"]),
            "the window spans 5 but the padded input has only 4 (its input is 3x4x4: channels, height, width)"
        );
        assert_eq!(
            error(PHOTO, &["Conv2d(3, 4, 3, groups=2)"]),
            "groups = 2 must divide both 3 input and 4 output channels (its input is 3x32x32: channels, height, width)"
        );
        assert_eq!(
            error(PHOTO, &["Softmax(dim=-1)"]),
            "dim=-1 is not possible; it must be 1 (the channels)"
        );
        assert_eq!(
            error(PHOTO, &["Conv2d(3, 32768, 3, padding=2000)"]),
            "a sample has 532181811200 elements, padding included; at most 268435456 are possible (its input is 3x32x32: channels, height, width)"
        );
        assert_eq!(
            error(PHOTO, &["Flatten()", "Linear(3072, 16000000)"]),
            "it has 49168000000 parameters; at most 67108864 are possible"
        );
    }

    #[test]
    fn same_padding_keeps_the_size_with_even_kernels_too() {
        assert_eq!(
            output(
                PHOTO,
                &["Conv2d(3, 8, (4, 3), padding='same', dilation=(1, 3))"]
            ),
            Shape::new(32, 32, 8)
        );
        let layers = follow(PHOTO, &["Conv2d(3, 8, (4, 2), padding='same')"]).unwrap();
        let Operation::Conv2d { params, .. } = &layers[0].0 else {
            panic!()
        };
        assert_eq!(
            params.window().padding,
            Padding {
                top: 1,
                bottom: 2,
                left: 0,
                right: 1
            }
        );
    }

    #[test]
    fn adaptive_pools_reduce_to_the_size_asked_for() {
        assert_eq!(
            output(PHOTO, &["AdaptiveAvgPool2d(1)"]),
            Shape::new(1, 1, 3)
        );
        assert_eq!(
            output(PHOTO, &["AdaptiveAvgPool2d((4, None))"]),
            Shape::new(4, 32, 3)
        );
    }
}

//! One layer in PyTorch's words: names, order and defaults of the arguments as in `torch.nn`.
//!
//! Here a [`Call`] becomes a [`LayerArguments`]; whether the layer fits its input is decided in [`super::shapes`].

use kinglet_kernels::{CountPadding, Rounding, Unary};

use super::arguments::{Arguments, Pair, pair_of};
use super::call::{Call, Value};
use super::error::CallProblem;
use super::layers::{LAYERS, hint};

/// `torch.nn.Hardsigmoid`.
const HARDSIGMOID: Unary = Unary::HardSigmoid {
    alpha: 1.0 / 6.0,
    beta: 0.5,
};

/// The numbers of `torch.nn.SELU`, as published.
const SELU: Unary = Unary::Selu {
    alpha: 1.673_263_2,
    gamma: 1.050_701,
};

/// `padding` of a convolution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ConvPadding {
    /// The same rows above and below, columns left and right.
    Symmetric(Pair),
    /// As much as makes the output as large as the input (stride 1 only); an odd rest goes below and right.
    Same,
}

/// A layer's arguments, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum LayerArguments {
    Conv2d {
        in_channels: usize,
        out_channels: usize,
        kernel: Pair,
        stride: Pair,
        padding: ConvPadding,
        dilation: Pair,
        groups: usize,
        bias: bool,
    },
    MaxPool2d {
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        rounding: Rounding,
    },
    AvgPool2d {
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        rounding: Rounding,
        count_padding: CountPadding,
    },
    AdaptiveAvgPool2d {
        output: (Option<usize>, Option<usize>),
    },
    Unary(Unary),
    Softmax {
        dim: i64,
    },
    BatchNorm2d {
        features: usize,
        epsilon: f32,
        momentum: f32,
    },
    Dropout(f32),
    Dropout2d(f32),
    Flatten,
    Linear {
        in_features: usize,
        out_features: usize,
        bias: bool,
    },
}

impl LayerArguments {
    /// Reads a call's arguments.
    pub(super) fn from_call(call: &Call) -> Result<Self, CallProblem> {
        let layer = LAYERS.iter().find(|layer| layer.name == call.name);
        let layer = layer.ok_or_else(|| CallProblem::Unknown {
            kind: "layer",
            name: call.name.clone(),
            hint: hint(&call.name),
        })?;
        Arguments::bind(call, layer)?.read()
    }
}

impl Arguments {
    fn read(&self) -> Result<LayerArguments, CallProblem> {
        Ok(match self.function.name {
            "Conv2d" => {
                self.only("padding_mode", &Value::Text("zeros".to_owned()), "'zeros'")?;
                let stride = self.pair("stride", Some((1, 1)))?;
                LayerArguments::Conv2d {
                    in_channels: self.count("in_channels", None)?,
                    out_channels: self.count("out_channels", None)?,
                    kernel: self.pair("kernel_size", None)?,
                    stride,
                    padding: self.conv_padding(stride)?,
                    dilation: self.pair("dilation", Some((1, 1)))?,
                    groups: self.count("groups", Some(1))?,
                    bias: self.flag("bias", true)?,
                }
            }
            "MaxPool2d" => {
                self.only("return_indices", &Value::Bool(false), "False")?;
                let kernel = self.pair("kernel_size", None)?;
                LayerArguments::MaxPool2d {
                    kernel,
                    stride: self.pool_stride(kernel)?,
                    padding: self.padding()?,
                    dilation: self.pair("dilation", Some((1, 1)))?,
                    rounding: self.rounding()?,
                }
            }
            "AvgPool2d" => {
                self.only("divisor_override", &Value::None, "None")?;
                let kernel = self.pair("kernel_size", None)?;
                LayerArguments::AvgPool2d {
                    kernel,
                    stride: self.pool_stride(kernel)?,
                    padding: self.padding()?,
                    rounding: self.rounding()?,
                    count_padding: if self.flag("count_include_pad", true)? {
                        CountPadding::Include
                    } else {
                        CountPadding::Exclude
                    },
                }
            }
            "AdaptiveAvgPool2d" => LayerArguments::AdaptiveAvgPool2d {
                output: self.adaptive_size()?,
            },
            "ReLU" => self.unary(Unary::Relu)?,
            "ReLU6" => self.unary(Unary::Relu6)?,
            "LeakyReLU" => {
                let slope = self.float("negative_slope", 0.01, "a number", |_| true)?;
                self.unary(Unary::LeakyRelu { slope })?
            }
            "Sigmoid" => LayerArguments::Unary(Unary::Sigmoid),
            "Tanh" => LayerArguments::Unary(Unary::Tanh),
            "ELU" => {
                let alpha = self.float("alpha", 1.0, "at least 0", |alpha| alpha >= 0.0)?;
                self.unary(Unary::Elu { alpha })?
            }
            "SELU" => self.unary(SELU)?,
            "Softplus" => {
                self.only("beta", &Value::Integer(1), "1")?;
                self.only("threshold", &Value::Integer(20), "20")?;
                LayerArguments::Unary(Unary::Softplus)
            }
            "Softsign" => LayerArguments::Unary(Unary::Softsign),
            "GELU" => LayerArguments::Unary(self.gelu()?),
            "SiLU" => self.unary(Unary::Swish { alpha: 1.0 })?,
            "Mish" => self.unary(Unary::Mish)?,
            "Hardswish" => self.unary(Unary::HardSwish)?,
            "Hardsigmoid" => self.unary(HARDSIGMOID)?,
            "Hardtanh" => {
                let high = self.float("max_val", 1.0, "a number", |_| true)?;
                let low = self.float("min_val", -1.0, "below max_val", |low| low < high)?;
                self.unary(Unary::Clip { low, high })?
            }
            "Softmax" => LayerArguments::Softmax {
                dim: match self.value("dim") {
                    None | Some(Value::None) => 1,
                    Some(Value::Integer(dim @ (1 | -1 | -3))) => *dim,
                    Some(other) => return Err(self.wrong("dim", other, "1 (the channels)")),
                },
            },
            "BatchNorm2d" => {
                self.only("affine", &Value::Bool(true), "True")?;
                self.only("track_running_stats", &Value::Bool(true), "True")?;
                LayerArguments::BatchNorm2d {
                    features: self.count("num_features", None)?,
                    epsilon: self.float("eps", 1e-5, "a positive number", |x| x > 0.0)?,
                    momentum: self.float("momentum", 0.1, "above 0 and at most 1", |x| {
                        x > 0.0 && x <= 1.0
                    })?,
                }
            }
            "Dropout" => LayerArguments::Dropout(self.probability()?),
            "Dropout2d" => LayerArguments::Dropout2d(self.probability()?),
            "Flatten" => {
                self.only("start_dim", &Value::Integer(1), "1")?;
                self.only("end_dim", &Value::Integer(-1), "-1")?;
                LayerArguments::Flatten
            }
            _ => LayerArguments::Linear {
                in_features: self.count("in_features", None)?,
                out_features: self.count("out_features", None)?,
                bias: self.flag("bias", true)?,
            },
        })
    }

    fn padding(&self) -> Result<Pair, CallProblem> {
        match self.value("padding") {
            None => Ok((0, 0)),
            Some(value) => pair_of(value, 0)
                .ok_or_else(|| self.wrong("padding", value, "a number or (height, width)")),
        }
    }

    fn conv_padding(&self, stride: Pair) -> Result<ConvPadding, CallProblem> {
        const RIGHT: &str = "a number, (height, width), 'same' or 'valid'";
        match self.value("padding") {
            Some(value @ Value::Text(text)) => match text.as_str() {
                "valid" => Ok(ConvPadding::Symmetric((0, 0))),
                "same" if stride == (1, 1) => Ok(ConvPadding::Same),
                "same" => Err(self.wrong("padding", value, "a number, since stride is not 1")),
                _ => Err(self.wrong("padding", value, RIGHT)),
            },
            Some(value) if pair_of(value, 0).is_none() => Err(self.wrong("padding", value, RIGHT)),
            _ => self.padding().map(ConvPadding::Symmetric),
        }
    }

    fn pool_stride(&self, kernel: Pair) -> Result<Pair, CallProblem> {
        match self.value("stride") {
            Some(Value::None) => Ok(kernel),
            _ => self.pair("stride", Some(kernel)),
        }
    }

    fn rounding(&self) -> Result<Rounding, CallProblem> {
        let ceil = self.flag("ceil_mode", false)?;
        Ok(if ceil {
            Rounding::Ceil
        } else {
            Rounding::Floor
        })
    }

    /// `inplace` is accepted and means nothing here.
    fn unary(&self, function: Unary) -> Result<LayerArguments, CallProblem> {
        self.flag("inplace", false)?;
        Ok(LayerArguments::Unary(function))
    }

    fn gelu(&self) -> Result<Unary, CallProblem> {
        match self.value("approximate") {
            None => Ok(Unary::Gelu),
            Some(Value::Text(text)) if text == "none" => Ok(Unary::Gelu),
            Some(Value::Text(text)) if text == "tanh" => Ok(Unary::GeluTanh),
            Some(other) => Err(self.wrong("approximate", other, "'none' or 'tanh'")),
        }
    }

    fn probability(&self) -> Result<f32, CallProblem> {
        self.flag("inplace", false)?;
        self.float("p", 0.5, "at least 0 and below 1", |p| {
            (0.0..1.0).contains(&p)
        })
    }

    fn adaptive_size(&self) -> Result<(Option<usize>, Option<usize>), CallProblem> {
        const NAME: &str = "output_size";
        const RIGHT: &str = "a number or (height, width), at least 1";
        let axis = |value: &Value| match value {
            Value::None => Some(None),
            Value::Integer(n) if *n > 0 => Some(Some(*n as usize)),
            _ => None,
        };
        let Some(value) = self.value(NAME) else {
            return self.or_default(NAME, None);
        };
        let size = match value {
            Value::Tuple(values) => match values.as_slice() {
                [h, w] => axis(h).zip(axis(w)),
                _ => None,
            },
            single => axis(single).map(|n| (n, n)),
        };
        size.ok_or_else(|| self.wrong(NAME, value, RIGHT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<LayerArguments, String> {
        let call = Call::parse(text).map_err(|e| e.to_string())?;
        LayerArguments::from_call(&call).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_and_order_are_those_of_pytorch() {
        assert_eq!(
            read("Conv2d(3, 16, 3)").unwrap(),
            read(
                "nn.Conv2d(3, 16, kernel_size=(3, 3), stride=(1, 1), padding='valid', dilation=1, \
                 groups=1, bias=True, padding_mode='zeros')"
            )
            .unwrap()
        );
        assert_eq!(
            read("MaxPool2d(2)").unwrap(),
            read("MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)")
                .unwrap()
        );
        assert_eq!(
            read("MaxPool2d((3, 2), (2, 1), 1, 2, False, True)").unwrap(),
            LayerArguments::MaxPool2d {
                kernel: (3, 2),
                stride: (2, 1),
                padding: (1, 1),
                dilation: (2, 2),
                rounding: Rounding::Ceil,
            }
        );
        assert_eq!(
            read("AvgPool2d(3, None, 1, True, False)").unwrap(),
            LayerArguments::AvgPool2d {
                kernel: (3, 3),
                stride: (3, 3),
                padding: (1, 1),
                rounding: Rounding::Ceil,
                count_padding: CountPadding::Exclude,
            }
        );
        assert_eq!(
            read("BatchNorm2d(16, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"),
            read("BatchNorm2d(16)")
        );
        assert_eq!(read("Dropout()").unwrap(), LayerArguments::Dropout(0.5));
        assert_eq!(
            read("Dropout(p=0.25, inplace=False)").unwrap(),
            LayerArguments::Dropout(0.25)
        );
        assert_eq!(
            read("LeakyReLU(0.2)").unwrap(),
            LayerArguments::Unary(Unary::LeakyRelu { slope: 0.2 })
        );
        assert_eq!(
            read("GELU('tanh')").unwrap(),
            LayerArguments::Unary(Unary::GeluTanh)
        );
        assert_eq!(
            read("Hardtanh(max_val=4, inplace=True)").unwrap(),
            LayerArguments::Unary(Unary::Clip {
                low: -1.0,
                high: 4.0
            })
        );
        assert_eq!(
            read("Flatten(start_dim=1, end_dim=-1)").unwrap(),
            LayerArguments::Flatten
        );
        assert_eq!(
            read("AdaptiveAvgPool2d((1, None))").unwrap(),
            LayerArguments::AdaptiveAvgPool2d {
                output: (Some(1), None)
            }
        );
    }

    #[test]
    fn wrong_arguments_are_named() {
        let error = |text| read(text).unwrap_err();
        assert_eq!(
            error("Conv2D(3, 16, 3)"),
            "there is no layer \"Conv2D\"; did you mean Conv2d?"
        );
        assert_eq!(
            error("MaxPool(2)"),
            "there is no layer \"MaxPool\"; did you mean MaxPool2d?"
        );
        assert_eq!(
            error("GRU(2)"),
            "there is no layer \"GRU\"; kinglet has no recurrent layers"
        );
        assert_eq!(
            error("Linear(3)"),
            "the argument out_features is missing; the call is Linear(in_features, out_features, bias=True)"
        );
        assert_eq!(
            error("Conv2d(3, 16, 0)"),
            "kernel_size=0 is not possible; it must be a number or (height, width), at least 1"
        );
        assert_eq!(
            error("Conv2d(3, 16, 3, padding_mode='reflect')"),
            "padding_mode='reflect' is not possible; it must be 'zeros'"
        );
        assert_eq!(
            error("Conv2d(3, 16, 3, stride=2, padding='same')"),
            "padding='same' is not possible; it must be a number, since stride is not 1"
        );
        assert_eq!(
            error("Conv2d(3, 16, 3, padding='full')"),
            "padding='full' is not possible; it must be a number, (height, width), 'same' or 'valid'"
        );
        assert_eq!(
            error("Conv2d(3, 16, 3, dilatation=2)"),
            "there is no argument \"dilatation\"; did you mean dilation?"
        );
        assert_eq!(
            error("Dropout(1.5)"),
            "p=1.5 is not possible; it must be at least 0 and below 1"
        );
        assert_eq!(
            error("Softmax(dim=0)"),
            "dim=0 is not possible; it must be 1 (the channels)"
        );
        assert_eq!(
            error("Hardtanh(2)"),
            "min_val=2 is not possible; it must be below max_val"
        );
        assert_eq!(
            error("GELU('erf')"),
            "approximate='erf' is not possible; it must be 'none' or 'tanh'"
        );
        assert_eq!(
            error("ReLU(inplace=1)"),
            "inplace=1 is not possible; it must be True or False"
        );
        assert_eq!(
            error("Linear(2.5, 3)"),
            "in_features=2.5 is not possible; it must be a whole number of at least 1"
        );
    }
}

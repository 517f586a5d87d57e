//! The trainable suffix of a graph, computed as a textbook would: every layer's output is kept, every
//! gradient is stored, in f32 in the canonical order and in f64.

use kinglet::Adam;
use kinglet::model::GraphSpec;
use kinglet::operator::Operator;
use kinglet_kernels::{Activation, Unary};

#[derive(Debug, Clone)]
enum Layer {
    Linear {
        outputs: usize,
        activation: Activation,
        weights: Vec<f32>,
        bias: Option<Vec<f32>>,
    },
    Unary(Unary),
    Softmax,
}

/// A suffix with its parameters.
#[derive(Debug, Clone)]
pub struct Naive {
    layers: Vec<Layer>,
}

impl Naive {
    /// The trainable suffix of `spec`.
    pub fn of(spec: &GraphSpec) -> Self {
        let first = spec.nodes.len() - spec.trainable_nodes;
        let layers = spec.nodes[first..].iter().map(|node| match &node.operator {
            Operator::Linear(linear) => Layer::Linear {
                outputs: node.output.shape.len(),
                activation: linear.activation,
                weights: linear.layer.weights.clone(),
                bias: linear.layer.bias.clone(),
            },
            Operator::Unary(function) => Layer::Unary(*function),
            Operator::Softmax(_) => Layer::Softmax,
            other => panic!("{other:?} cannot be trained"),
        });
        Self {
            layers: layers.collect(),
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        let outputs = self.layers.iter().rev().find_map(|layer| match layer {
            Layer::Linear { outputs, .. } => Some(*outputs),
            _ => None,
        });
        outputs.expect("a suffix has a linear layer")
    }

    /// All parameters: for each layer its weights, then its bias.
    pub fn weights(&self) -> Vec<f32> {
        let mut all = Vec::new();
        for layer in &self.layers {
            if let Layer::Linear { weights, bias, .. } = layer {
                all.extend(weights);
                all.extend(bias.iter().flatten());
            }
        }
        all
    }

    /// Sets all parameters, in the order of [`weights`](Self::weights).
    pub fn set_weights(&mut self, all: &[f32]) {
        let mut values = all.iter();
        for layer in &mut self.layers {
            if let Layer::Linear { weights, bias, .. } = layer {
                let targets = weights.iter_mut().chain(bias.iter_mut().flatten());
                targets.zip(&mut values).for_each(|(t, v)| *t = *v);
            }
        }
        assert_eq!(values.len(), 0);
    }

    /// The output of every layer, the features first.
    fn forward(&self, features: &[f32]) -> Vec<Vec<f32>> {
        let mut values = vec![features.to_vec()];
        for layer in &self.layers {
            let x = values.last().expect("the features at least");
            let y = match layer {
                Layer::Linear {
                    outputs,
                    activation,
                    weights,
                    bias,
                } => (0..*outputs)
                    .map(|o| {
                        let mut sum = bias.as_ref().map_or(0.0, |bias| bias[o]);
                        for (i, x) in x.iter().enumerate() {
                            sum += x * weights[o * x_len(weights, *outputs) + i];
                        }
                        match activation {
                            Activation::Identity => sum,
                            Activation::Relu => sum.max(0.0),
                            Activation::Relu6 => sum.clamp(0.0, 6.0),
                        }
                    })
                    .collect(),
                Layer::Unary(function) => x.iter().map(|x| unary(*function, *x)).collect(),
                Layer::Softmax => softmax(x).0,
            };
            values.push(y);
        }
        values
    }

    /// What the model puts out.
    pub fn outputs(&self, features: &[f32]) -> Vec<f32> {
        self.forward(features).pop().expect("an output")
    }

    /// What the loss is computed from: the output, or what softmax reads.
    pub fn logits(&self, features: &[f32]) -> Vec<f32> {
        let mut values = self.forward(features);
        if matches!(self.layers.last(), Some(Layer::Softmax)) {
            values.pop();
        }
        values.pop().expect("logits")
    }

    /// The cross-entropy and its gradient for all parameters.
    pub fn gradients(&self, features: &[f32], class: usize) -> (f32, Vec<f32>) {
        let values = self.forward(features);
        let mut layers = self.layers.as_slice();
        if let Some((Layer::Softmax, rest)) = layers.split_last() {
            layers = rest;
        }
        let logits = &values[layers.len()];
        let (mut d, max, sum) = softmax(logits);
        let loss = libm::logf(sum) - (logits[class] - max);
        d[class] -= 1.0;

        let mut gradients: Vec<Vec<f32>> = Vec::new();
        for (index, layer) in layers.iter().enumerate().rev() {
            let (x, y) = (&values[index], &values[index + 1]);
            match layer {
                Layer::Linear {
                    outputs,
                    activation,
                    weights,
                    bias,
                } => {
                    for (d, y) in d.iter_mut().zip(y) {
                        let passes = match activation {
                            Activation::Identity => true,
                            Activation::Relu => *y > 0.0,
                            Activation::Relu6 => *y > 0.0 && *y < 6.0,
                        };
                        if !passes {
                            *d = 0.0;
                        }
                    }
                    let mut of_layer = Vec::new();
                    for d in &d {
                        of_layer.extend(x.iter().map(|x| d * x));
                    }
                    if bias.is_some() {
                        of_layer.extend(&d);
                    }
                    gradients.push(of_layer);
                    let mut d_input = vec![0.0; x.len()];
                    for o in 0..*outputs {
                        for (i, d_input) in d_input.iter_mut().enumerate() {
                            *d_input += d[o] * weights[o * x.len() + i];
                        }
                    }
                    d = d_input;
                }
                Layer::Unary(function) => {
                    for (d, y) in d.iter_mut().zip(y) {
                        *d = match function {
                            Unary::Relu if *y <= 0.0 => 0.0,
                            Unary::Relu6 if *y <= 0.0 || *y >= 6.0 => 0.0,
                            Unary::Relu | Unary::Relu6 => *d,
                            Unary::LeakyRelu { .. } if *y > 0.0 => *d,
                            Unary::LeakyRelu { slope } => *d * slope,
                            Unary::Sigmoid => *d * (1.0 - y) * y,
                            Unary::Tanh => *d * (1.0 - y * y),
                            Unary::Elu { .. } if *y > 0.0 => *d,
                            Unary::Elu { alpha } => *d * (y + alpha),
                            Unary::Selu { gamma, .. } if *y > 0.0 => *d * gamma,
                            Unary::Selu { alpha, gamma } => *d * (y + alpha * gamma),
                            Unary::Softplus => *d * -libm::expm1f(-y),
                            Unary::Softsign => *d * ((1.0 - y.abs()) * (1.0 - y.abs())),
                            other => panic!("{other:?} cannot be trained"),
                        };
                    }
                }
                Layer::Softmax => panic!("softmax is last or nowhere"),
            }
        }
        gradients.reverse();
        (loss, gradients.concat())
    }

    /// The cross-entropy in f64, as a function of all parameters.
    pub fn loss_f64(&self, all: &[f64], features: &[f32], class: usize) -> f64 {
        let mut values: Vec<f64> = features.iter().map(|x| f64::from(*x)).collect();
        let mut all = all;
        let mut take = |len: usize| {
            let (taken, rest) = all.split_at(len);
            all = rest;
            taken
        };
        for layer in &self.layers {
            match layer {
                Layer::Linear {
                    outputs,
                    activation,
                    weights,
                    bias,
                } => {
                    let weights = take(weights.len());
                    let bias = bias.as_ref().map(|bias| take(bias.len()));
                    let (low, high) = match activation {
                        Activation::Identity => (f64::NEG_INFINITY, f64::INFINITY),
                        Activation::Relu => (0.0, f64::INFINITY),
                        Activation::Relu6 => (0.0, 6.0),
                    };
                    values = (0..*outputs)
                        .map(|o| {
                            let row = &weights[o * values.len()..];
                            let sum: f64 = values.iter().zip(row).map(|(x, w)| x * w).sum();
                            (sum + bias.map_or(0.0, |bias| bias[o])).clamp(low, high)
                        })
                        .collect();
                }
                Layer::Unary(function) => {
                    for x in &mut values {
                        *x = match function {
                            Unary::Relu => x.max(0.0),
                            Unary::Relu6 => x.clamp(0.0, 6.0),
                            Unary::LeakyRelu { slope } if *x < 0.0 => *x * f64::from(*slope),
                            Unary::LeakyRelu { .. } => *x,
                            Unary::Sigmoid => 1.0 / (1.0 + (-*x).exp()),
                            Unary::Tanh => x.tanh(),
                            Unary::Elu { .. } | Unary::Selu { .. } if *x > 0.0 => {
                                *x * f64::from(if let Unary::Selu { gamma, .. } = function {
                                    *gamma
                                } else {
                                    1.0
                                })
                            }
                            Unary::Elu { alpha } => x.exp_m1() * f64::from(*alpha),
                            Unary::Selu { alpha, gamma } => {
                                x.exp_m1() * f64::from(*alpha) * f64::from(*gamma)
                            }
                            Unary::Softplus => x.exp().ln_1p(),
                            Unary::Softsign => *x / (1.0 + x.abs()),
                            other => panic!("{other:?} cannot be trained"),
                        };
                    }
                }
                // The loss is computed from what softmax reads.
                Layer::Softmax => {}
            }
        }
        let sum: f64 = values.iter().map(|x| x.exp()).sum();
        sum.ln() - values[class]
    }
}

fn x_len(weights: &[f32], outputs: usize) -> usize {
    weights.len() / outputs
}

fn unary(function: Unary, x: f32) -> f32 {
    match function {
        Unary::Relu => x.max(0.0),
        Unary::Relu6 => x.clamp(0.0, 6.0),
        Unary::LeakyRelu { slope } if x <= 0.0 => x * slope,
        Unary::LeakyRelu { .. } => x,
        Unary::Sigmoid => 1.0 / (1.0 + libm::expf(-x)),
        Unary::Tanh => libm::tanhf(x),
        Unary::Elu { alpha } if x <= 0.0 => libm::expm1f(x) * alpha,
        Unary::Elu { .. } => x,
        Unary::Selu { alpha, gamma } if x <= 0.0 => libm::expm1f(x) * alpha * gamma,
        Unary::Selu { gamma, .. } => x * gamma,
        Unary::Softplus => libm::log1pf(libm::expf(-x.abs())) + x.max(0.0),
        Unary::Softsign => x / (1.0 + x.abs()),
        other => panic!("{other:?} cannot be trained"),
    }
}

/// Softmax, the largest value, and the sum of the powers.
fn softmax(x: &[f32]) -> (Vec<f32>, f32, f32) {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = x.iter().map(|x| libm::expf(x - max)).collect();
    let sum = powers.iter().fold(0.0, |sum, power| sum + power);
    (powers.iter().map(|power| power / sum).collect(), max, sum)
}

/// Adam as PyTorch documents it, one weight at a time.
#[derive(Debug, Clone)]
pub struct NaiveAdam {
    adam: Adam,
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl NaiveAdam {
    /// The state for so many weights.
    pub fn new(adam: Adam, weights: usize) -> Self {
        Self {
            adam,
            mean: vec![0.0; weights],
            square: vec![0.0; weights],
        }
    }

    /// Updates one weight in step number `step`, counted from 1.
    pub fn update(&mut self, step: u32, index: usize, w: &mut f32, g: f32) {
        let Adam {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
        } = self.adam;
        let g = g + weight_decay * *w;
        let (mean, square) = (&mut self.mean[index], &mut self.square[index]);
        *mean += (1.0 - beta1) * (g - *mean);
        *square = *square * beta2 + (1.0 - beta2) * g * g;
        let correction1 = 1.0 - f64::from(beta1).powi(step as i32);
        let correction2 = 1.0 - f64::from(beta2).powi(step as i32);
        let step_size = (f64::from(learning_rate) / correction1) as f32;
        let denominator = square.sqrt() / correction2.sqrt() as f32 + epsilon;
        *w -= step_size * (*mean / denominator);
    }
}

//! Joins functions that an exporter took apart: `x * sigmoid(x)` is SiLU again, five or eight nodes are a GELU.
//!
//! There are many ways to write such a function, but only one thing it can be. So no pattern is looked for: nodes that
//! compute element by element from a single value are a function of one number, which is called and compared with the
//! functions that the runtime has, over the range where they bend. The numbers of a function (slopes, limits) are read
//! off its values.

use kinglet_kernels::Unary;

use super::cone::{Cone, apply};
use crate::graph::{Graph, Operation};

pub(super) fn run(graph: &mut Graph) {
    let mut shapes = graph.shapes();
    let mut index = graph.nodes.len();
    // From the end, so that the largest is found before what is within it. What is before `index` keeps its place.
    while let Some(last) = index.checked_sub(1) {
        index = last;
        let mut found = None;
        let mut cone = Cone::of(graph, last);
        while cone.grow(graph, &shapes) {
            if let Some(input) = cone.input()
                && cone.nodes().len() > 1
                && let Some(function) = known(|x| cone.call(graph, x))
            {
                found = Some((input, function, cone.nodes().to_vec()));
            }
        }
        let Some((input, function, nodes)) = found else {
            continue;
        };
        graph.nodes[last].operation = Operation::Unary(function);
        graph.nodes[last].inputs = vec![input];
        for inner in nodes.into_iter().filter(|node| *node != last) {
            graph.remove(inner);
            index -= 1;
        }
        shapes = graph.shapes();
    }
}

/// Where functions are compared: from -30 to 30, most of them near 0.
fn points() -> impl Iterator<Item = f32> {
    (-48..=48).map(|i: i8| {
        let distance = f32::from(i) / 48.0;
        30.0 * distance * distance.abs()
    })
}

/// How far apart a function and its parts may be for how they round: this by the larger one of 1, input and output.
const ROUNDING: f32 = 2e-6;

/// The function of the runtime that is nearest to `call`, if it is the same but for rounding.
fn known(call: impl Fn(f32) -> f32) -> Option<Unary> {
    let mut values = Vec::new();
    for x in points() {
        let y = call(x);
        if !y.is_finite() {
            return None;
        }
        values.push((x, y));
    }
    // The largest of all distances; None where one is too large.
    let distance = |function: Unary| {
        let mut largest = 0.0f32;
        for (x, y) in &values {
            let distance = (apply(function, *x) - y).abs() / x.abs().max(y.abs()).max(1.0);
            if distance.is_nan() || distance > ROUNDING {
                return None;
            }
            largest = largest.max(distance);
        }
        Some(largest)
    };
    let mut best: Option<(f32, Unary)> = None;
    for function in candidates(&call) {
        if let Some(distance) = distance(function)
            && function.check().is_ok()
            && best.is_none_or(|(least, _)| distance < least)
        {
            best = Some((distance, function));
        }
    }
    best.map(|(_, function)| function)
}

/// The functions that `call` may be: those that have no numbers, or usual ones, and those with its own. Of equally near
/// ones the first is taken.
fn candidates(call: &impl Fn(f32) -> f32) -> Vec<Unary> {
    let at_one = call(1.0);
    let mut all = vec![
        Unary::Relu,
        Unary::Relu6,
        Unary::Sigmoid,
        Unary::Tanh,
        Unary::HardSwish,
        Unary::Swish { alpha: 1.0 },
        Unary::Swish { alpha: 1.702 },
        Unary::Softplus,
        Unary::Softsign,
        Unary::Mish,
        Unary::Gelu,
        Unary::GeluTanh,
        Unary::Abs,
        Unary::Elu { alpha: 1.0 },
        Unary::Selu {
            alpha: 1.673_263_2,
            gamma: 1.050_701,
        },
        // sigmoid(alpha) = at_one where it is x * sigmoid(alpha * x).
        Unary::Swish {
            alpha: (at_one / (1.0 - at_one)).ln(),
        },
        Unary::LeakyRelu { slope: -call(-1.0) },
        Unary::Elu {
            alpha: -call(-30.0),
        },
        Unary::Selu {
            alpha: -call(-30.0) / at_one,
            gamma: at_one,
        },
        Unary::HardSigmoid {
            alpha: 1.0 / 6.0,
            beta: 0.5,
        },
        Unary::HardSigmoid {
            alpha: 2.0 * (call(0.5) - call(0.0)),
            beta: call(0.0),
        },
    ];
    let (low, high) = (call(-30.0), call(30.0));
    // An end that is as far as the outermost points is none.
    let limit = |end: f32, none: f32| if end.abs() == 30.0 { none } else { end };
    if low <= high {
        all.push(Unary::Clip {
            low: limit(low, f32::NEG_INFINITY),
            high: limit(high, f32::INFINITY),
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use kinglet_kernels::BinaryFunction::{
        self, Add, Divide, Maximum, Minimum, Multiply, ReverseDivide, ReverseSubtract, Subtract,
    };
    use kinglet_kernels::{Activation, Shape};

    use super::*;
    use crate::graph::{Input, Output};

    /// A graph written as exporters write it.
    struct Parts(Graph);

    impl Parts {
        fn unary(&mut self, function: Unary, x: usize) -> usize {
            self.0.push("f", Operation::Unary(function), &[x])
        }

        fn constant(&mut self, function: BinaryFunction, x: usize, number: f32) -> usize {
            let operation = Operation::BinaryConstant {
                function,
                activation: Activation::Identity,
                shape: Shape::vector(1),
                operand: vec![number],
            };
            self.0.push("c", operation, &[x])
        }

        fn binary(&mut self, function: BinaryFunction, a: usize, b: usize) -> usize {
            let activation = Activation::Identity;
            let operation = Operation::Binary {
                function,
                activation,
            };
            self.0.push("b", operation, &[a, b])
        }
    }

    /// What becomes of the nodes that `write` adds behind value 1, which is another function of the input.
    fn joined(write: impl FnOnce(&mut Parts, usize) -> usize) -> Vec<Operation> {
        let input = Input::new("x", Shape::new(2, 3, 4));
        let mut parts = Parts(Graph::new("parts", vec![input]));
        let softmax = parts.0.push("first", Operation::Softmax, &[0]);
        let last = write(&mut parts, softmax);
        let mut graph = parts.0;
        graph.outputs = vec![Output::new("y", last)];
        run(&mut graph);
        assert_eq!(graph.outputs[0].value, graph.nodes.len());
        let operations = graph.nodes.into_iter().map(|node| node.operation);
        operations.skip(1).collect()
    }

    fn assert_joined(expected: Unary, write: impl FnOnce(&mut Parts, usize) -> usize) {
        assert_eq!(joined(write), [Operation::Unary(expected)]);
    }

    #[test]
    fn gelu_in_all_the_ways_it_is_written() {
        let sqrt_2 = std::f32::consts::SQRT_2;
        // PyTorch: x / sqrt 2, erf, + 1, times x, times 1/2.
        assert_joined(Unary::Gelu, |parts, x| {
            let scaled = parts.constant(Divide, x, sqrt_2);
            let erf = parts.unary(Unary::Erf, scaled);
            let sum = parts.constant(Add, erf, 1.0);
            let product = parts.binary(Multiply, x, sum);
            parts.constant(Multiply, product, 0.5)
        });
        // Keras: x / 2 first.
        assert_joined(Unary::Gelu, |parts, x| {
            let half = parts.constant(Multiply, x, 0.5);
            let scaled = parts.constant(Multiply, x, 1.0 / sqrt_2);
            let erf = parts.unary(Unary::Erf, scaled);
            let sum = parts.constant(Add, erf, 1.0);
            parts.binary(Multiply, sum, half)
        });
        assert_joined(Unary::GeluTanh, |parts, x| {
            let square = parts.binary(Multiply, x, x);
            let cube = parts.binary(Multiply, square, x);
            let cubic = parts.constant(Multiply, cube, 0.044_715);
            let sum = parts.binary(Add, x, cubic);
            let argument = parts.constant(Multiply, sum, 0.797_884_6);
            let tanh = parts.unary(Unary::Tanh, argument);
            let sum = parts.constant(Add, tanh, 1.0);
            let half = parts.constant(Multiply, x, 0.5);
            parts.binary(Multiply, half, sum)
        });
    }

    #[test]
    fn selu_and_elu() {
        let selu = Unary::Selu {
            alpha: 1.673_263_2,
            gamma: 1.050_701,
        };
        // gamma * (max(x, 0) + min(alpha * (exp(x) - 1), 0)), the exponential of what is not positive.
        let write = |parts: &mut Parts, x, alpha, gamma: Option<f32>| {
            let positive = parts.unary(Unary::Relu, x);
            let negative = parts.constant(Minimum, x, 0.0);
            let exp = parts.unary(Unary::Exp, negative);
            let less = parts.constant(Subtract, exp, 1.0);
            let scaled = parts.constant(Multiply, less, alpha);
            let sum = parts.binary(Add, positive, scaled);
            match gamma {
                Some(gamma) => parts.constant(Multiply, sum, gamma),
                None => sum,
            }
        };
        assert_joined(selu, |parts, x| {
            write(parts, x, 1.673_263_2, Some(1.050_701))
        });
        assert_joined(selu, |parts, x| {
            let elu = parts.unary(Unary::Elu { alpha: 1.673_263_2 }, x);
            parts.constant(Multiply, elu, 1.050_701)
        });
        assert_joined(Unary::Elu { alpha: 1.0 }, |parts, x| {
            write(parts, x, 1.0, None)
        });
        assert_joined(Unary::Elu { alpha: 0.25 }, |parts, x| {
            write(parts, x, 0.25, None)
        });
    }

    #[test]
    fn gates_and_logarithms() {
        let alpha = 1.0;
        assert_joined(Unary::Swish { alpha }, |parts, x| {
            let gate = parts.unary(Unary::Sigmoid, x);
            parts.binary(Multiply, gate, x)
        });
        // x / (1 + exp(-x))
        assert_joined(Unary::Swish { alpha }, |parts, x| {
            let negated = parts.constant(ReverseSubtract, x, 0.0);
            let exp = parts.unary(Unary::Exp, negated);
            let sum = parts.constant(Add, exp, 1.0);
            parts.binary(Divide, x, sum)
        });
        assert_joined(Unary::Swish { alpha: 1.702 }, |parts, x| {
            let scaled = parts.constant(Multiply, x, 1.702);
            let gate = parts.unary(Unary::Sigmoid, scaled);
            parts.binary(Multiply, x, gate)
        });
        assert_joined(Unary::Mish, |parts, x| {
            let exp = parts.unary(Unary::Exp, x);
            let sum = parts.constant(Add, exp, 1.0);
            let log = parts.unary(Unary::Log, sum);
            let tanh = parts.unary(Unary::Tanh, log);
            parts.binary(Multiply, x, tanh)
        });
        assert_joined(Unary::Softplus, |parts, x| {
            let exp = parts.unary(Unary::Exp, x);
            let sum = parts.constant(Add, exp, 1.0);
            parts.unary(Unary::Log, sum)
        });
        assert_joined(Unary::Sigmoid, |parts, x| {
            let negated = parts.constant(Multiply, x, -1.0);
            let exp = parts.unary(Unary::Exp, negated);
            let sum = parts.constant(Add, exp, 1.0);
            parts.constant(ReverseDivide, sum, 1.0)
        });
        assert_joined(Unary::Softsign, |parts, x| {
            let magnitude = parts.unary(Unary::Abs, x);
            let sum = parts.constant(Add, magnitude, 1.0);
            parts.binary(Divide, x, sum)
        });
    }

    #[test]
    fn what_bends_sharply() {
        // x * relu6(x + 3) / 6
        assert_joined(Unary::HardSwish, |parts, x| {
            let shifted = parts.constant(Add, x, 3.0);
            let limited = parts.unary(Unary::Relu6, shifted);
            let product = parts.binary(Multiply, x, limited);
            parts.constant(Divide, product, 6.0)
        });
        assert_joined(Unary::HardSwish, |parts, x| {
            let (alpha, beta) = (1.0 / 6.0, 0.5);
            let gate = parts.unary(Unary::HardSigmoid { alpha, beta }, x);
            parts.binary(Multiply, x, gate)
        });
        let (alpha, beta) = (1.0 / 6.0, 0.5);
        assert_joined(Unary::HardSigmoid { alpha, beta }, |parts, x| {
            let shifted = parts.constant(Add, x, 3.0);
            let limited = parts.unary(Unary::Relu6, shifted);
            parts.constant(Multiply, limited, 1.0 / 6.0)
        });
        assert_joined(Unary::LeakyRelu { slope: 0.3 }, |parts, x| {
            let scaled = parts.constant(Multiply, x, 0.3);
            parts.binary(Maximum, x, scaled)
        });
        let (low, high) = (-0.5, 2.0);
        assert_joined(Unary::Clip { low, high }, |parts, x| {
            let limited = parts.constant(Maximum, x, low);
            parts.constant(Minimum, limited, high)
        });
        assert_joined(Unary::Relu6, |parts, x| {
            let limited = parts.constant(Minimum, x, 6.0);
            parts.constant(Maximum, limited, 0.0)
        });
    }

    #[test]
    fn what_is_none_of_them_or_needed_elsewhere_stays() {
        // Half a GELU's factor.
        let operations = joined(|parts, x| {
            let erf = parts.unary(Unary::Erf, x);
            let sum = parts.constant(Add, erf, 1.0);
            parts.binary(Multiply, x, sum)
        });
        assert_eq!(operations.len(), 3);
        // Two inputs are no function of one.
        let operations = joined(|parts, x| {
            let gate = parts.unary(Unary::Sigmoid, 0);
            parts.binary(Multiply, gate, x)
        });
        assert_eq!(operations.len(), 2);
        // The gate itself is read by the end.
        let operations = joined(|parts, x| {
            let gate = parts.unary(Unary::Sigmoid, x);
            let swish = parts.binary(Multiply, gate, x);
            let other = parts.0.push("softmax", Operation::Softmax, &[gate]);
            parts.binary(Add, swish, other)
        });
        assert_eq!(operations.len(), 4);
    }
}

// Gradients of functions of one element and of softmax, in place, and what dropout takes.

// Turns the gradient of the output into that of the input, given the output. At a kink it is that of the flat side.
// output, d [count]. Work-items: element.
__kernel void unary_backward(
    __global const float *output, uint output_at, __global float *d, uint d_at,
    int count, int function, float a, float b) {
    const int i = get_global_id(0);
    if (i >= count) {
        return;
    }
    const float y = output[output_at + i];
    float factor = 1.0f;
    switch (function) {
    case RELU:
        factor = y <= 0.0f ? 0.0f : 1.0f;
        break;
    case RELU6:
        factor = y <= 0.0f || y >= 6.0f ? 0.0f : 1.0f;
        break;
    case LEAKY_RELU:
        factor = y > 0.0f ? 1.0f : a;
        break;
    case SIGMOID:
        factor = (1.0f - y) * y;
        break;
    case TANH:
        factor = 1.0f - y * y;
        break;
    case ELU:
        factor = y > 0.0f ? 1.0f : y + a;
        break;
    case SELU:
        factor = y > 0.0f ? b : y + a * b;
        break;
    case SOFTPLUS:
        factor = -expm1(-y);
        break;
    case SOFTSIGN:
        factor = (1.0f - fabs(y)) * (1.0f - fabs(y));
        break;
    }
    // What a flat side stops is 0 even if it was infinite.
    const int is_flat = (function == RELU || function == RELU6) && factor == 0.0f;
    d[d_at + i] = is_flat ? 0.0f : d[d_at + i] * factor;
}

// The slope where a function is steep, 0 where it is flat.
static inline float step_of(int is_steep, float slope) {
    return is_steep ? slope : 0.0f;
}

static inline float sigmoid_of(float x) {
    return 1.0f / (1.0f + exp(-x));
}

// The derivative at `x`. `a` and `b` are the function's numbers, in the order of its definition.
static inline float derivative(float x, int function, float a, float b) {
    float y;
    switch (function) {
    case RELU:
        return step_of(x > 0.0f, 1.0f);
    case RELU6:
        return step_of(x > 0.0f && x < 6.0f, 1.0f);
    case LEAKY_RELU:
        return x > 0.0f ? 1.0f : a;
    case SIGMOID:
        y = sigmoid_of(x);
        return (1.0f - y) * y;
    case TANH:
        y = tanh(x);
        return 1.0f - y * y;
    case CLIP:
        return step_of(x > a && x < b, 1.0f);
    case ELU:
        return x > 0.0f ? 1.0f : exp(x) * a;
    case HARD_SIGMOID:
        y = x * a + b;
        return step_of(y > 0.0f && y < 1.0f, a);
    case HARD_SWISH:
        y = x * (1.0f / 6.0f) + 0.5f;
        return y <= 0.0f ? 0.0f : y >= 1.0f ? 1.0f : y + x * (1.0f / 6.0f);
    case SELU:
        return x > 0.0f ? b : exp(x) * a * b;
    case SWISH:
        y = sigmoid_of(x * a);
        return y + (1.0f - y) * y * (x * a);
    case SOFTPLUS:
        return sigmoid_of(x);
    case SOFTSIGN:
        y = 1.0f / (1.0f + fabs(x));
        return y * y;
    case MISH:
        y = tanh(log1p(exp(-fabs(x))) + (x < 0.0f ? 0.0f : x));
        return y + (1.0f - y * y) * (sigmoid_of(x) * x);
    case GELU:
        return erfc(-(x * 0.70710677f)) * 0.5f + exp(x * x * -0.5f) * 0.3989423f * x;
    case GELU_TANH:
        // (1 + tanh(u)) / 2 is 1 / (1 + exp(-2 u)), whose derivative by u is 2 y (1 - y).
        y = sigmoid_of(2.0f * ((x * x * 0.035677407f + 0.7978846f) * x));
        return y + step_of(y > 0.0f && y < 1.0f, 2.0f * y * (1.0f - y) * x * (x * x * 0.10703222f + 0.7978846f));
    case ERF:
        return exp(-(x * x)) * 1.1283792f;
    case ABS:
        return step_of(x > 0.0f, 1.0f) - step_of(x < 0.0f, 1.0f);
    case EXP:
        return exp(x);
    case LOG:
        return 1.0f / x;
    case SQRT:
        return 0.5f / sqrt(x);
    case POWER:
        return step_of(a != 0.0f, pow(x, a - 1.0f) * a);
    default:
        return 1.0f;
    }
}

// The same of every function, given the input.
// input, d [count]. Work-items: element.
__kernel void unary_backward_from_input(
    __global const float *input, uint input_at, __global float *d, uint d_at,
    int count, int function, float a, float b) {
    const int i = get_global_id(0);
    if (i >= count) {
        return;
    }
    const float slope = derivative(input[input_at + i], function, a, b);
    // What a flat side stops is 0 even if it was infinite.
    d[d_at + i] = slope == 0.0f ? 0.0f : d[d_at + i] * slope;
}

// d = d - exp(output) * sum over the row of d, of softmax's logarithm
// output, d [rows, channels]. Work-items: row.
__kernel void log_softmax_backward(
    __global const float *output, uint output_at, __global float *d, uint d_at, int rows, int channels) {
    const int row = get_global_id(0);
    if (row >= rows) {
        return;
    }
    output += output_at + row * channels;
    d += d_at + row * channels;
    float sum = 0.0f;
    for (int channel = 0; channel < channels; ++channel) {
        sum += d[channel];
    }
    for (int channel = 0; channel < channels; ++channel) {
        d[channel] -= exp(output[channel]) * sum;
    }
}

// d = (d - sum over the row of d * output) * output
// output, d [rows, channels]. Work-items: row.
__kernel void softmax_backward(
    __global const float *output, uint output_at, __global float *d, uint d_at, int rows, int channels) {
    const int row = get_global_id(0);
    if (row >= rows) {
        return;
    }
    output += output_at + row * channels;
    d += d_at + row * channels;
    float sum = 0.0f;
    for (int channel = 0; channel < channels; ++channel) {
        sum += d[channel] * output[channel];
    }
    for (int channel = 0; channel < channels; ++channel) {
        d[channel] = (d[channel] - sum) * output[channel];
    }
}

// output = input * factors, which may be the same region as either: dropout, forward and backward.
// All [count]. Work-items: element.
__kernel void multiply(
    __global const float *input, uint input_at, __global const float *factors, uint factors_at,
    __global float *output, uint output_at, int count) {
    const int i = get_global_id(0);
    if (i < count) {
        output[output_at + i] = input[input_at + i] * factors[factors_at + i];
    }
}

// output = input. Both [count]. Work-items: element.
__kernel void copy(
    __global const storage *input, uint input_at, __global storage *output, uint output_at, int count) {
    const int i = get_global_id(0);
    if (i < count) {
        STORE(LOAD(input, input_at + i), output, output_at + i);
    }
}

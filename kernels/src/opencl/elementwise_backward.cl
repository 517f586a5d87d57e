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

// Functions of two tensors, and the affine function of each channel, in place. Results are limited to low..=high: that
// is the activation.

// Products are rounded before sums, as on the CPU.
#pragma OPENCL FP_CONTRACT OFF

// The numbers are the host's.
#define ADD 0
#define SUBTRACT 1
#define REVERSE_SUBTRACT 2
#define MULTIPLY 3
#define DIVIDE 4
#define REVERSE_DIVIDE 5
#define MINIMUM 6
#define MAXIMUM 7
#define PRELU 8

static inline float combine(float x, float o, int function) {
    switch (function) {
    case ADD:
        return x + o;
    case SUBTRACT:
        return x - o;
    case REVERSE_SUBTRACT:
        return o - x;
    case MULTIPLY:
        return x * o;
    case DIVIDE:
        return x / o;
    case REVERSE_DIVIDE:
        return o / x;
    case MINIMUM:
        return x < o || isnan(x) ? x : o;
    case MAXIMUM:
        return x > o || isnan(x) ? x : o;
    default: // PRELU
        return x > 0.0f ? x : x * o;
    }
}

// A NaN stays a NaN, as on the CPU: clamp would drop it.
static inline float limit(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
}

// data [batch, len], len = rows * columns * run; operand [batch or 1, ..], read in steps of `*_from` along the three
// loops: 0 repeats an element. `operand_step` is from one sample's operand to the next.
// Work-items: element of a sample, sample.
__kernel void binary(
    __global storage *data, uint data_at, __global const storage *operand, uint operand_at,
    int batch, int len, int operand_step, int columns, int run,
    int row_from, int column_from, int run_from, int function, float low, float high) {
    const int i = get_global_id(0);
    const int sample = get_global_id(1);
    if (i >= len || sample >= batch)
        return;
    const int column_of_all = i / run;
    const int row = column_of_all / columns;
    const int from = row * row_from + (column_of_all - row * columns) * column_from
        + (i - column_of_all * run) * run_from;
    data += data_at + sample * len;
    const float o = LOAD(operand, operand_at + sample * operand_step + from);
    STORE(limit(combine(LOAD(data, i), o, function), low, high), data, i);
}

// data = data * scale + shift, with those of the channel. data [count / channels, channels]; scale, shift [channels].
// Work-items: element.
__kernel void channel_affine(
    __global storage *data, uint data_at, __global const storage *scale, uint scale_at,
    __global const storage *shift, uint shift_at, int count, int channels, float low, float high) {
    const int i = get_global_id(0);
    if (i >= count)
        return;
    const int channel = i - i / channels * channels;
    const float x = LOAD(data, data_at + i) * LOAD(scale, scale_at + channel) + LOAD(shift, shift_at + channel);
    STORE(limit(x, low, high), data, data_at + i);
}

// The slope of combine(x, o), along o if `of_operand`, along x otherwise.
static inline float slope(float x, float o, int function, int of_operand) {
    switch (function) {
    case ADD:
        return 1.0f;
    case SUBTRACT:
        return of_operand ? -1.0f : 1.0f;
    case REVERSE_SUBTRACT:
        return of_operand ? 1.0f : -1.0f;
    case MULTIPLY:
        return of_operand ? x : o;
    case DIVIDE:
        return of_operand ? -x / (o * o) : 1.0f / o;
    case REVERSE_DIVIDE:
        return of_operand ? 1.0f / x : -o / (x * x);
    case MINIMUM:
        return (x < o) != of_operand ? 1.0f : 0.0f;
    case MAXIMUM:
        return (x > o) != of_operand ? 1.0f : 0.0f;
    default: // PRELU
        return x > 0.0f ? 1.0f - of_operand : of_operand ? x : o;
    }
}

// The gradient of the tensor, or of the operand if `of_operand`, from that of the output. x, d_output [batch, len],
// len = rows * columns * run; operand [batch, operand_len], or with an operand_step of 0 [operand_len] for all samples, in
// steps of `*_from` along the three loops as in `binary`: what an element is repeated for adds up. d_input as x or operand. Work-items: element of a sample of d_input, sample.
__kernel void binary_backward(
    __global const storage *x, uint x_at, __global const storage *operand, uint operand_at,
    __global const storage *d_output, uint d_output_at, __global storage *d_input, uint d_input_at,
    int batch, int operand_len, int operand_step, int rows, int columns, int run,
    int row_from, int column_from, int run_from, int function, int of_operand) {
    const int i = get_global_id(0);
    const int sample = get_global_id(1);
    const int len = rows * columns * run;
    if (i >= (of_operand ? operand_len : len) || sample >= batch)
        return;
    x_at += sample * len;
    d_output_at += sample * len;
    operand_at += sample * operand_step;
    if (!of_operand) {
        const int column_of_all = i / run;
        const int row = column_of_all / columns;
        const int from = row * row_from + (column_of_all - row * columns) * column_from
            + (i - column_of_all * run) * run_from;
        const float s = slope(LOAD(x, x_at + i), LOAD(operand, operand_at + from), function, 0);
        STORE(LOAD(d_output, d_output_at + i) * s, d_input, d_input_at + sample * len + i);
        return;
    }
    // The place along each loop that moves in the operand; the others are gone through.
    const int row_first = row_from ? i / row_from % rows : 0;
    const int row_last = row_from ? row_first + 1 : rows;
    const int column_first = column_from ? i / column_from % columns : 0;
    const int column_last = column_from ? column_first + 1 : columns;
    const int run_first = run_from ? i / run_from % run : 0;
    const int run_last = run_from ? run_first + 1 : run;
    const float o = LOAD(operand, operand_at + i);
    float sum = 0.0f;
    for (int row = row_first; row < row_last; row++)
        for (int column = column_first; column < column_last; column++)
            for (int k = run_first; k < run_last; k++) {
                const int at = (row * columns + column) * run + k;
                sum += LOAD(d_output, d_output_at + at) * slope(LOAD(x, x_at + at), o, function, 1);
            }
    STORE(sum, d_input, d_input_at + sample * operand_len + i);
}

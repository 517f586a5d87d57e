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

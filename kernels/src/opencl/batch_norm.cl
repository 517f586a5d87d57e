// Batch normalization of [rows, channels], each channel by itself.
//
// Training, forward: column_sums and add_partials give the mean, then batch_norm_square_deviations and
// batch_norm_statistics the spread (two passes: a difference of large sums would lose it), then
// batch_norm_normalize. Backward: batch_norm_backward_sums and add_partials give the gradients of weights and bias,
// batch_norm_backward_input takes those. Evaluation, forward: batch_norm_running, then batch_norm_normalize.
//
// moments  [2, channels]: mean, then 1 / sqrt(variance + epsilon)
// weights, bias, running_mean, running_variance [channels]

// partials[chunk][channel] = sum over the chunk's rows of (input - mean)^2
// Work-items: channel, chunk.
__kernel void batch_norm_square_deviations(
    __global const float *input, uint input_at, __global const float *moments, uint moments_at,
    __global float *partials, uint partials_at, int rows, int channels, int rows_in_chunk) {
    const int channel = get_global_id(0), chunk = get_global_id(1), first = chunk * rows_in_chunk;
    if (channel >= channels || first >= rows) {
        return;
    }
    input += input_at + channel;
    const float mean = moments[moments_at + channel];
    const int last = min(first + rows_in_chunk, rows);
    float sum = 0.0f;
    for (int row = first; row < last; ++row) {
        const float deviation = input[row * channels] - mean;
        sum += deviation * deviation;
    }
    partials[partials_at + chunk * channels + channel] = sum;
}

// Adds up the square deviations, completes the moments and moves the running statistics towards the batch's mean
// and unbiased variance.
// Work-items: channel.
__kernel void batch_norm_statistics(
    __global const float *partials, uint partials_at, __global float *moments, uint moments_at,
    __global float *running_mean, uint running_mean_at,
    __global float *running_variance, uint running_variance_at,
    int chunks, int rows, int channels, float epsilon, float momentum) {
    const int channel = get_global_id(0);
    if (channel >= channels) {
        return;
    }
    partials += partials_at + channel;
    moments += moments_at + channel;
    running_mean += running_mean_at + channel;
    running_variance += running_variance_at + channel;
    float squares = 0.0f;
    for (int chunk = 0; chunk < chunks; ++chunk) {
        squares += partials[chunk * channels];
    }
    moments[channels] = 1.0f / sqrt(squares / (float)rows + epsilon);
    // A single value has no spread to estimate.
    const float unbiased = squares / (float)max(rows - 1, 1);
    *running_mean += momentum * (*moments - *running_mean);
    *running_variance += momentum * (unbiased - *running_variance);
}

// The moments of evaluation.
// Work-items: channel.
__kernel void batch_norm_running(
    __global const float *running_mean, uint running_mean_at,
    __global const float *running_variance, uint running_variance_at,
    __global float *moments, uint moments_at, int channels, float epsilon) {
    const int channel = get_global_id(0);
    if (channel < channels) {
        moments += moments_at + channel;
        moments[0] = running_mean[running_mean_at + channel];
        moments[channels] = 1.0f / sqrt(running_variance[running_variance_at + channel] + epsilon);
    }
}

// output = (input - mean) / sqrt(variance + epsilon) * weights + bias
// Work-items: channel, row.
__kernel void batch_norm_normalize(
    __global const float *input, uint input_at, __global const float *moments, uint moments_at,
    __global const float *weights, uint weights_at, __global const float *bias, uint bias_at,
    __global float *output, uint output_at, int rows, int channels) {
    const int channel = get_global_id(0), row = get_global_id(1);
    if (channel < channels && row < rows) {
        moments += moments_at + channel;
        const float x = input[input_at + row * channels + channel];
        output[output_at + row * channels + channel] =
            (x - moments[0]) * moments[channels] * weights[weights_at + channel] + bias[bias_at + channel];
    }
}

// Sums over the chunk's rows: partials[chunk][0][channel] of d_output * (input - mean) / sqrt(variance + epsilon),
// partials[chunk][1][channel] of d_output.
// Work-items: channel, chunk.
__kernel void batch_norm_backward_sums(
    __global const float *input, uint input_at, __global const float *d_output, uint d_output_at,
    __global const float *moments, uint moments_at, __global float *partials, uint partials_at,
    int rows, int channels, int rows_in_chunk) {
    const int channel = get_global_id(0), chunk = get_global_id(1), first = chunk * rows_in_chunk;
    if (channel >= channels || first >= rows) {
        return;
    }
    input += input_at + channel;
    d_output += d_output_at + channel;
    moments += moments_at + channel;
    partials += partials_at + 2 * chunk * channels + channel;
    const int last = min(first + rows_in_chunk, rows);
    float weight_sum = 0.0f, bias_sum = 0.0f;
    for (int row = first; row < last; ++row) {
        const float d = d_output[row * channels];
        weight_sum += d * (input[row * channels] - moments[0]);
        bias_sum += d;
    }
    partials[0] = weight_sum * moments[channels];
    partials[channels] = bias_sum;
}

// d_input = weights / sqrt(variance + epsilon) * (d_output - bias_sum / rows - normalized * weight_sum / rows)
// sums [2, channels]: the gradients of weights and bias. d_input may be the same region as d_output.
// Work-items: channel, row.
__kernel void batch_norm_backward_input(
    __global const float *input, uint input_at, __global const float *d_output, uint d_output_at,
    __global const float *moments, uint moments_at, __global const float *weights, uint weights_at,
    __global const float *sums, uint sums_at, __global float *d_input, uint d_input_at,
    int rows, int channels) {
    const int channel = get_global_id(0), row = get_global_id(1);
    if (channel >= channels || row >= rows) {
        return;
    }
    moments += moments_at + channel;
    sums += sums_at + channel;
    const int i = row * channels + channel;
    const float normalized = (input[input_at + i] - moments[0]) * moments[channels];
    const float mean_d = sums[channels] / (float)rows, mean_of_product = sums[0] / (float)rows;
    d_input[d_input_at + i] = weights[weights_at + channel] * moments[channels]
        * (d_output[d_output_at + i] - mean_d - normalized * mean_of_product);
}

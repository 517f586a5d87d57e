// Linear layer: output[s][o] = clamp(bias[o] + sum over i of input[s][i] * weights[o][i]), weights as they are.
//
// A work-group computes TILE_M samples by TILE_N outputs. Its work-items, all on dimension 0, share the sum over i:
// each takes every so many groups of four, so neighbours read neighbours, and a layer with few outputs keeps a
// device busy even for one sample. Dimension 1 runs over outputs, 2 over samples. `shared` has TILE_M * TILE_N
// floats for each work-item of the group.
//
// The order of a sum depends on the layer and the size of the group only: a sample has the same bits in any batch.

__kernel void linear(
    __global const storage *restrict input, uint input_at,
    __global const storage *restrict weights, uint weights_at,
    __global const storage *restrict bias, uint bias_at, int has_bias,
    __global storage *restrict output, uint output_at,
    int batch, int in_features, int out_features, float low, float high, __local float *shared
) {
    const int lane = get_local_id(0);
    const int lanes = get_local_size(0);
    // Groups have one work-item on these. Where there are too many for one launch the numbers of groups begin anew in
    // each, those of work-items do not.
    const int first_output = get_global_id(1) * TILE_N;
    const int first_sample = get_global_id(2) * TILE_M;
    input += input_at;
    weights += weights_at;

    // Samples and outputs beyond the last are the last one again: computed, not stored.
    int sample_at[TILE_M], output_row[TILE_N];
    float4 part[TILE_M][TILE_N];
#pragma unroll
    for (int o = 0; o < TILE_N; ++o)
        output_row[o] = min(first_output + o, out_features - 1) * in_features;
#pragma unroll
    for (int s = 0; s < TILE_M; ++s) {
        sample_at[s] = min(first_sample + s, batch - 1) * in_features;
#pragma unroll
        for (int o = 0; o < TILE_N; ++o)
            part[s][o] = (float4)(0.0f);
    }

    const int whole = in_features / 4 * 4;
    for (int i = lane * 4; i < whole; i += lanes * 4) {
        float4 w[TILE_N];
#pragma unroll
        for (int o = 0; o < TILE_N; ++o)
            w[o] = LOAD4(weights, output_row[o] + i);
#pragma unroll
        for (int s = 0; s < TILE_M; ++s) {
            const float4 x = LOAD4(input, sample_at[s] + i);
#pragma unroll
            for (int o = 0; o < TILE_N; ++o)
                part[s][o] = MULTIPLY_ADD(x, w[o], part[s][o]);
        }
    }
    for (int i = whole + lane; i < in_features; i += lanes) {
#pragma unroll
        for (int s = 0; s < TILE_M; ++s) {
            const float x = LOAD(input, sample_at[s] + i);
#pragma unroll
            for (int o = 0; o < TILE_N; ++o)
                part[s][o].s0 = MULTIPLY_ADD(x, LOAD(weights, output_row[o] + i), part[s][o].s0);
        }
    }
#pragma unroll
    for (int s = 0; s < TILE_M; ++s) {
#pragma unroll
        for (int o = 0; o < TILE_N; ++o)
            shared[(s * TILE_N + o) * lanes + lane] = dot(part[s][o], (float4)(1.0f));
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    for (int at = lane; at < TILE_M * TILE_N; at += lanes) {
        const int s = at / TILE_N;
        const int sample = first_sample + s;
        const int o = first_output + at - s * TILE_N;
        // A second group on dimension 0, if the device takes smaller ones than were asked for, is superfluous. (It
        // does not return earlier: PoCL miscompiles a return before a barrier.)
        if (sample >= batch || o >= out_features || get_global_id(0) != lane)
            continue;
        float sum = has_bias ? LOAD(bias, bias_at + o) : 0.0f;
        for (int i = 0; i < lanes; ++i)
            sum += shared[at * lanes + i];
        sum = sum < low ? low : sum > high ? high : sum;
        STORE(sum, output, output_at + sample * out_features + o);
    }
}

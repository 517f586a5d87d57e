// Softmax over each run of `channels` elements, in place: exp(x - max) / sum of exp(x - max), where max is the
// largest, so that no input overflows. A NaN makes the run NaN. With `is_log` the logarithm of that.
//
// The work-items of dimension 0 share a run: one for short runs, a power of two for long ones, all in one
// work-group. Dimension 1 runs over the runs. `shared` has one float for each work-item of the group.

static inline float larger(float a, float b) {
    return b > a || isnan(b) ? b : a;
}

__kernel void softmax(
    __global storage *data, uint data_at, int runs, int channels, int is_log, __local float *shared
) {
    const int lane = get_local_id(0);
    const int lanes = get_local_size(0);
    // A run beyond the last, and a second group on dimension 0, if the device takes smaller ones than were asked
    // for, have no elements. (They do not return: PoCL miscompiles a return before a barrier.)
    const int run = get_global_id(1);
    const int end = run < runs && get_global_id(0) == lane ? channels : 0;
    data += data_at + run * channels;
    shared += get_local_id(1) * lanes;

    float largest = -INFINITY;
    for (int i = lane; i < end; i += lanes)
        largest = larger(largest, LOAD(data, i));
    shared[lane] = largest;
    for (int half_lanes = lanes / 2; half_lanes > 0; half_lanes /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lane < half_lanes)
            shared[lane] = larger(shared[lane], shared[lane + half_lanes]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    largest = shared[0];
    barrier(CLK_LOCAL_MEM_FENCE);

    float sum = 0.0f;
    for (int i = lane; i < end; i += lanes)
        sum += exp(LOAD(data, i) - largest);
    shared[lane] = sum;
    for (int half_lanes = lanes / 2; half_lanes > 0; half_lanes /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lane < half_lanes)
            shared[lane] += shared[lane + half_lanes];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    sum = shared[0];

    const float log_sum = log(sum);
    for (int i = lane; i < end; i += lanes) {
        const float x = LOAD(data, i) - largest;
        STORE(is_log ? x - log_sum : exp(x) / sum, data, i);
    }
}

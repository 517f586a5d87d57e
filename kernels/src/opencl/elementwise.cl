// A function of each of `count` elements, in place: four of them for each work-item of dimension 0.

__kernel void unary(__global storage *data, uint data_at, int count, int function, float slope) {
    const int first = get_global_id(0) * 4;
    if (first >= count)
        return;
    data += data_at;
    if (first + 4 <= count) {
        float4 x = LOAD4(data, first);
        x.s0 = activate(x.s0, function, slope);
        x.s1 = activate(x.s1, function, slope);
        x.s2 = activate(x.s2, function, slope);
        x.s3 = activate(x.s3, function, slope);
        STORE4(x, data, first);
    } else {
        for (int i = first; i < count; ++i)
            STORE(activate(LOAD(data, i), function, slope), data, i);
    }
}

//! What register blocking is worth: the matrix product against the loop that anyone would write, on a device that
//! `KINGLET_REQUIRE_OPENCL` names. Both must compute the same; the speeds are shown, by `cargo xtask opencl`, and judged
//! by people: what else a machine does decides about them too.
#![allow(unsafe_code)]

use std::println;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::vec::Vec;

use kinglet_kernels::opencl::Source;

use super::gemm::{Gemm, Matrix};
use crate::opencl::recording::Call;
use crate::opencl::{Element, Executor, Options, Recording, devices};

const NAIVE: Source = Source {
    name: "naive.cl",
    text: "__kernel void naive(
    __global const float *a, uint a_at, __global const float *b, uint b_at, __global float *c, uint c_at,
    int m, int n, int k
) {
    const int column = get_global_id(0), row = get_global_id(1);
    if (column >= n || row >= m)
        return;
    float sum = 0.0f;
    for (int i = 0; i < k; ++i)
        sum += a[a_at + row * k + i] * b[b_at + i * n + column];
    c[c_at + row * n + column] = sum;
}
",
};

const M: usize = 384;
const N: usize = 392;
const K: usize = 377;

/// By the median of some runs.
fn gigaflops(executor: &Executor, recording: &Recording) -> f64 {
    let run = || {
        let start = Instant::now();
        recording.enqueue().expect("it runs");
        executor.finish().expect("it ends");
        start.elapsed()
    };
    run();
    let mut times: Vec<Duration> = (0..9).map(|_| run()).collect();
    times.sort();
    (2 * M * N * K) as f64 / times[times.len() / 2].as_secs_f64() / 1e9
}

#[test]
fn register_blocking_computes_what_the_plain_loop_does() {
    let name = std::env::var("KINGLET_REQUIRE_OPENCL").expect("it names a device");
    let found = devices().expect("OpenCL lists its devices");
    let device = found.iter().find(|device| device.is_called(&name));
    let device = device.expect("the device that is named");
    let executor: Arc<Executor> =
        Executor::open(device, Options::default()).expect("the device can be used");
    let buffer = |len| executor.buffer(len, Element::F32).expect("memory");
    let (a, b, c, expected) = (buffer(M * K), buffer(K * N), buffer(M * N), buffer(M * N));
    let numbers =
        |len: usize| -> Vec<f32> { (0..len).map(|i| libm::sinf(i as f32 * 0.7)).collect() };
    executor
        .write_f32(a.whole(), &numbers(M * K))
        .expect("written");
    executor
        .write_f32(b.whole(), &numbers(K * N))
        .expect("written");

    let matrix = |slice, stride| Matrix {
        slice,
        stride,
        group: 0,
    };
    let mut blocked = Recording::new(&executor);
    let gemm = Gemm {
        groups: 1,
        m: M,
        n: N,
        k: K,
        a: matrix(a.whole(), K),
        transpose_a: false,
        b: matrix(b.whole(), N),
        b_columns: N,
        c: matrix(c.whole(), N),
        bias: None,
        range: (f32::NEG_INFINITY, f32::INFINITY),
    };
    blocked.gemm(&gemm).expect("it is recorded");
    let mut naive = Recording::new(&executor);
    let call = Call::new(&NAIVE, "naive")
        .slice(a.whole())
        .slice(b.whole())
        .slice(expected.whole())
        .int(M)
        .int(N)
        .int(K)
        .global([N, M, 1])
        .local([8, 8, 1]);
    // SAFETY: the buffers are of these sizes; each work-item writes one element of its own.
    unsafe { naive.push(call) }.expect("it is recorded");

    let (fast, slow) = (gigaflops(&executor, &blocked), gigaflops(&executor, &naive));
    println!(
        "SGEMM {M}x{N}x{K} on {}: {fast:.1} GFLOP/s, naive {slow:.1}, {:.1} times",
        device.name,
        fast / slow
    );
    let read = |buffer: &crate::opencl::Buffer| {
        let mut values = std::vec![0.0; M * N];
        executor
            .read_f32(buffer.whole(), &mut values)
            .expect("read");
        values
    };
    crate::opencl::agreement::check("SGEMM", &read(&c), &read(&expected), Element::F32)
        .expect("both compute the same");
}

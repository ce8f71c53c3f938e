//! Every engine and mix, for comparing one build with the last. For ratios between engines use the binary
//! `kernel-ratios`, which takes turns.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hashsweep_benches::{MIXES, by_rustcrypto, in_lanes};
use hashsweep_lanes::Engine;

const N_MESSAGES: usize = 64;

fn kernels(criterion: &mut Criterion) {
    for n_bytes in [4 * 1024, 64 * 1024] {
        for (name, wanted) in MIXES {
            let mut group = criterion.benchmark_group(format!("{name}, {n_bytes} bytes"));
            group.throughput(Throughput::Bytes((N_MESSAGES * n_bytes) as u64));
            for engine in Engine::available() {
                group.bench_function(BenchmarkId::from_parameter(engine), |bencher| {
                    bencher.iter(|| in_lanes(engine, wanted, N_MESSAGES, n_bytes));
                });
            }
            let message = vec![7; n_bytes];
            group.bench_function(BenchmarkId::from_parameter("rustcrypto"), |bencher| {
                bencher.iter(|| by_rustcrypto(wanted, N_MESSAGES, &message));
            });
        }
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);

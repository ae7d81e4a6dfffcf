//! What benchmarks measure with. CPU time and memory are read from /proc, so this needs Linux.

/// CPU time of this process, user and system, from /proc/self/schedstat (nanoseconds on the CPU).
pub fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

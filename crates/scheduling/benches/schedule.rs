//! Benchmarks of scheduling.
fn main() {
    divan::main();
}

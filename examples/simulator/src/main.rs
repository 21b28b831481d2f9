//! The simulator.
mod error; mod trace; mod import;
use std::sync::Arc; use std::sync::atomic::AtomicU64;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut t = trace::open(&a[1], Some(trace::Format::Lackey), Arc::new(AtomicU64::new(0))).unwrap();
    let w = a[2].parse().unwrap();
    let r = import::import(&mut *t, w, u64::MAX, &mut std::io::stdout().lock(), "out".as_ref()).unwrap();
    eprintln!("{r:?}");
}

//! Faults planted in a pager, each of which the suite of lists must catch; and the pager without
//! one, which it must not.

use crate::pager::{Config, Fault, Pager};
use pinfold::conformance::{ListsFailure, ListsTally, Rng, lists_suite};

fn config(seed: u64, fault: Option<Fault>) -> Config {
    let bit = |n: u64| seed >> n & 1 == 1;
    Config {
        fault,
        exact: bit(0),
        defers: bit(1),
        slow: bit(2),
    }
}

fn run(seed: u64, fault: Option<Fault>) -> Result<ListsTally, ListsFailure> {
    let mut rng = Rng::new(seed);
    let mut pager = Pager::new(config(seed, fault));
    lists_suite(&mut pager, &mut || rng.next_u64(), 8)
}

#[test]
fn a_pager_without_a_fault_passes() {
    let mut sum = ListsTally::default();
    let mut bad = 0;
    for seed in 0..5000 {
        match run(seed, None) {
            Ok(tally) => sum = sum.plus(tally),
            Err(failure) => {
                println!("seed {seed}, {:?}: {failure}", config(seed, None));
                bad += 1;
            }
        }
    }
    println!("{sum}");
    assert_eq!(bad, 0);
}

#[test]
fn dbg_one() {
    let seed: u64 = std::env::var("SEED").map_or(0, |s| s.parse().unwrap());
    println!("{:?}: {:?}", config(seed, None), run(seed, None));
}

//! The models against naive ones that were written apart from them.

use super::{AHEAD, Cache, clock::Clock, fifo::Fifo, lru::Lru};
use crate::index::Index;
use rand::{RngExt, SeedableRng};
use std::collections::VecDeque;

/// A queue from the next to go to the last, with the mark of those used.
fn naive(trace: &[u64], frames: usize, model: &str) -> u64 {
    let mut queue: VecDeque<(u64, bool)> = VecDeque::new();
    let mut misses = 0;
    for &object in trace {
        if let Some(at) = queue.iter().position(|&(there, _)| there == object) {
            match model {
                "lru" => {
                    let entry = queue.remove(at).unwrap();
                    queue.push_back(entry);
                }
                "clock" => queue[at].1 = true,
                _ => {}
            }
            continue;
        }
        misses += 1;
        while queue.len() == frames {
            let (there, used) = queue.pop_front().unwrap();
            if used {
                queue.push_back((there, false));
            }
        }
        queue.push_back((object, false));
    }
    misses
}

fn misses<C: Cache>(trace: &[u64], frames: usize) -> u64 {
    let mut cache = C::with_frames(frames as u32);
    let mut misses = 0;
    for batch in trace.chunks(AHEAD) {
        let hashes: Vec<u32> = batch.iter().map(|&object| Index::hash(object)).collect();
        cache.warm(&hashes);
        for (&object, hash) in batch.iter().zip(hashes) {
            misses += u64::from(!cache.access(object, hash));
        }
    }
    assert!(cache.resident() <= frames as u64);
    misses
}

#[test]
fn misses_are_those_of_naive_models() {
    let mut rng = rand_pcg::Pcg64::seed_from_u64(7);
    let zipf = rand_distr::Zipf::new(500.0, 0.9).unwrap();
    for frames in [1, 2, 7, 64, 300] {
        let random: Vec<u64> = (0..6000)
            .map(|step| match step % 3000 {
                0..1000 => step as u64 % 97,
                1000..2000 => rng.random_range(0..400),
                _ => rng.sample::<f64, _>(zipf) as u64,
            })
            .collect();
        assert_eq!(
            misses::<Lru>(&random, frames),
            naive(&random, frames, "lru")
        );
        assert_eq!(
            misses::<Fifo>(&random, frames),
            naive(&random, frames, "fifo")
        );
        assert_eq!(
            misses::<Clock>(&random, frames),
            naive(&random, frames, "clock")
        );
    }
}

#[test]
fn a_page_takes_at_most_48_bytes() {
    let frames = 100_000;
    for bytes in [
        Lru::with_frames(frames).bytes(),
        Fifo::with_frames(frames).bytes(),
        Clock::with_frames(frames).bytes(),
    ] {
        assert!(bytes <= 48 * frames as usize, "{bytes}");
    }
}

//! What a run looked like over time, in bounded space.

/// How many samples are kept at least, once there were as many; at most twice as many.
const KEPT: usize = 240;

/// The machine at one moment. Frames, and sums since the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Sample {
    /// Requests so far.
    pub at: u64,
    pub free: u64,
    pub pinned: u64,
    pub parked: u64,
    pub scanned: u64,
    pub reclaimed: u64,
    pub stalled: u64,
}

/// Samples at even distances. When there are too many, every other one goes and the distance
/// doubles.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Series {
    every: u64,
    next: u64,
    pub samples: Vec<Sample>,
}

impl Series {
    pub fn new() -> Self {
        Self {
            every: 64,
            next: 0,
            samples: Vec::new(),
        }
    }

    pub fn is_due(&self, now: u64) -> bool {
        now >= self.next
    }

    pub fn push(&mut self, sample: Sample) {
        self.samples.push(sample);
        if self.samples.len() == 2 * KEPT {
            let mut index = 0;
            self.samples.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.every *= 2;
        }
        self.next = sample.at / self.every * self.every + self.every;
    }

    pub fn push_last(&mut self, sample: Sample) {
        self.samples.push(sample);
    }
}

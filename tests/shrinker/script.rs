//! A shrinker that does as it is told.

use core::num::NonZeroU64;
use pinfold::Shrinker;
use pinfold::shrinker::Scan;

/// A shrinker that says what it was told to say, and writes down what it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Scripted {
    pub(crate) count: Option<u64>,
    pub(crate) seeks: u32,
    pub(crate) batch: u64,
    /// Answers in order; when they are used up, `rest` for ever.
    pub(crate) script: Vec<Answer>,
    pub(crate) rest: Answer,
    pub(crate) asked: Vec<u64>,
    pub(crate) calls: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// As many as asked, and frees this share of them.
    Honest {
        freed_percent: u64,
    },
    /// These numbers.
    Says(u64, u64),
    Stop,
}

impl Scripted {
    pub(crate) fn new(count: u64) -> Self {
        Self {
            count: Some(count),
            seeks: 2,
            batch: 0,
            script: Vec::new(),
            rest: Answer::Honest { freed_percent: 100 },
            asked: Vec::new(),
            calls: 0,
        }
    }

    pub(crate) fn answer(&self, asked: u64) -> Option<(u64, u64)> {
        let answer = self.script.get(self.calls as usize).unwrap_or(&self.rest);
        match *answer {
            Answer::Honest { freed_percent } => {
                let freed = u128::from(asked) * u128::from(freed_percent) / 100;
                Some((asked, freed as u64))
            }
            Answer::Says(scanned, freed) => Some((scanned, freed)),
            Answer::Stop => None,
        }
    }
}

impl Shrinker for Scripted {
    fn count(&mut self) -> Option<u64> {
        self.count
    }
    fn scan(&mut self, objects: NonZeroU64) -> Scan {
        let answer = self.answer(objects.get());
        self.calls += 1;
        if self.asked.len() < 64 {
            self.asked.push(objects.get());
        }
        match answer {
            Some((scanned, freed)) => Scan::Did { scanned, freed },
            None => Scan::Stop,
        }
    }
    fn seeks(&self) -> u32 {
        self.seeks
    }
    fn batch(&self) -> u64 {
        self.batch
    }
}

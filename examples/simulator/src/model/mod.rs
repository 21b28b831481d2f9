//! Plain cache models without pins, whose miss counts can be held against other simulators.
//!
//! As in libCacheSim, an object is one page whatever its size.

mod clock;
mod fifo;
mod lru;

use crate::error::Error;
use crate::index::Index;
use crate::trace::{Request, Trace};

/// Which model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Model {
    /// The page that was used longest ago goes.
    Lru,
    /// The page that came first goes.
    Fifo,
    /// The page that came first goes, unless it was used since it was last looked at.
    Clock,
}

impl Model {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::Fifo => "fifo",
            Self::Clock => "clock",
        }
    }
}

/// A cache of pages. `access` says whether it was a hit.
trait Cache {
    fn with_frames(frames: u32) -> Self;
    fn access(&mut self, object: u64, hash: u32) -> bool;
    /// Reads what `access` will for these hashes, [`AHEAD`] at most, so that many of these reads wait
    /// for memory at once; the result is of no meaning.
    fn warm(&mut self, hashes: &[u32]) -> u64;
    fn resident(&self) -> u64;
    fn bytes(&self) -> usize;
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Misses {
    pub requests: u64,
    pub misses: u64,
    pub resident: u64,
    /// Of memory, for all of the model.
    pub bytes: usize,
}

/// Runs a model over a trace.
pub fn run(
    model: Model,
    frames: u32,
    trace: &mut dyn Trace,
    limit: u64,
    tick: impl FnMut(),
) -> Result<Misses, Error> {
    match model {
        Model::Lru => replay::<lru::Lru>(frames, trace, limit, tick),
        Model::Fifo => replay::<fifo::Fifo>(frames, trace, limit, tick),
        Model::Clock => replay::<clock::Clock>(frames, trace, limit, tick),
    }
}

/// How far ahead memory is read.
const AHEAD: usize = 64;

fn replay<C: Cache>(
    frames: u32,
    trace: &mut dyn Trace,
    limit: u64,
    mut tick: impl FnMut(),
) -> Result<Misses, Error> {
    let mut cache = C::with_frames(frames);
    let mut result = Misses::default();
    let mut chunk: Vec<Request> = Vec::new();
    let mut left = limit;
    while left > 0 {
        if crate::replay::INTERRUPTED.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        chunk.clear();
        trace.fill(&mut chunk, 4096.min(left.try_into().unwrap_or(4096)))?;
        if chunk.is_empty() {
            break;
        }
        left = left.saturating_sub(chunk.len() as u64);
        result.requests += chunk.len() as u64;
        for batch in chunk.chunks(AHEAD) {
            let mut hashes = [0; AHEAD];
            for (hash, request) in hashes.iter_mut().zip(batch) {
                *hash = Index::hash(request.object);
            }
            std::hint::black_box(cache.warm(&hashes[..batch.len()]));
            for (&hash, request) in hashes.iter().zip(batch) {
                result.misses += u64::from(!cache.access(request.object, hash));
            }
        }
        tick();
    }
    result.resident = cache.resident();
    result.bytes = cache.bytes();
    Ok(result)
}

#[cfg(test)]
mod tests;

//! How far a run has come, and how long it took.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A progress bar, on a terminal; nothing in a pipe.
#[derive(Clone)]
pub struct Bar {
    bar: ProgressBar,
    read: Arc<AtomicU64>,
}

impl Bar {
    /// Over so many bytes, where that is known, of which `read` counts those that were read.
    pub fn new(length: Option<u64>, read: Arc<AtomicU64>, what: &'static str) -> Self {
        let bar = if !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else if let Some(length) = length {
            let style = ProgressStyle::with_template("{msg} {bar:40} {percent}% {eta}");
            ProgressBar::new(length)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        } else {
            ProgressBar::new_spinner()
        };
        bar.set_message(what);
        Self { bar, read }
    }

    pub fn tick(&self) {
        if !self.bar.is_hidden() {
            self.bar.set_position(self.read.load(Ordering::Relaxed));
        }
    }

    pub fn finish_and_clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// How long something took, on the clock on the wall and of the processor, and what it came to for
/// each request. On a busy machine only the second says anything.
pub struct Timing {
    began: Instant,
    processor: Option<Duration>,
}

/// A rate over less time than this says nothing.
const SHORTEST: Duration = Duration::from_millis(1);

impl Timing {
    pub fn begin() -> Self {
        Self {
            began: Instant::now(),
            processor: processor_time(),
        }
    }

    /// What it took to replay so many requests.
    pub fn of(&self, requests: u64) -> String {
        let wall = self.began.elapsed();
        let processor = processor_time()
            .zip(self.processor)
            .map(|(now, before)| now.saturating_sub(before));
        if wall.min(processor.unwrap_or(wall)) < SHORTEST {
            return "less than 0.001 s, too short for a rate".to_owned();
        }
        let rate = |time: Duration| requests as f64 / time.as_secs_f64() / 1e6;
        let mut text = format!(
            "{:.3} s, {:.2} million requests/s",
            wall.as_secs_f64(),
            rate(wall)
        );
        if let Some(processor) = processor {
            text += &format!(
                "; {:.3} s of processor time, {:.2} million requests for each second of it",
                processor.as_secs_f64(),
                rate(processor)
            );
        }
        text
    }
}

/// Processor time of the program so far, all threads.
#[cfg(unix)]
fn processor_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::ProcessCPUTime).try_into().ok()
}

#[cfg(not(unix))]
fn processor_time() -> Option<Duration> {
    None
}

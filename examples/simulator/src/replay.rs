//! One pass over a trace, through all machines at once: a reader, and a few workers that each have
//! some of the machines.

use crate::error::Error;
use crate::machine::{Frame, Outcome, Plan};
use crate::policy::Policy;
use crate::trace::{Request, Trace};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Requests that are handed on at a time, and chunks that may wait for a worker.
const CHUNK: usize = 8192;
const WAITING: usize = 8;

/// Set by Ctrl-C.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// One run: a policy over one seed.
#[derive(Debug)]
pub struct Run {
    pub policy: Policy,
    pub seed: u64,
    pub outcome: Outcome,
}

type Chunk = Arc<Vec<Request>>;

/// Replays at most `limit` requests under every policy and seed: how many there were, and the runs
/// in the order of the seeds, and of the policies for each. `tick` is called for every chunk.
pub fn replay(
    trace: &mut dyn Trace,
    policies: &[Policy],
    seeds: &[u64],
    plan: &Plan,
    limit: u64,
    mut tick: impl FnMut(),
) -> Result<(u64, Vec<Run>), Error> {
    let jobs: Vec<(Policy, u64)> = seeds
        .iter()
        .flat_map(|&seed| policies.iter().map(move |&policy| (policy, seed)))
        .collect();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let workers = threads.min(jobs.len()).max(1);
    thread::scope(|scope| {
        let mut senders = Vec::new();
        let mut handles = Vec::new();
        for worker in 0..workers {
            let (sender, receiver) = sync_channel::<Chunk>(WAITING);
            let mine: Vec<_> = jobs.iter().copied().skip(worker).step_by(workers).collect();
            senders.push(sender);
            handles.push(scope.spawn(move || work(&receiver, &mine, plan)));
        }
        let mut requests = 0;
        let read = read_all(trace, limit, |chunk| {
            tick();
            requests += chunk.len() as u64;
            // A worker that is gone has an error to tell.
            senders.iter().all(|to| to.send(Arc::clone(&chunk)).is_ok())
        });
        drop(senders);
        let mut runs: Vec<Vec<Run>> = Vec::new();
        let mut failed = read.err();
        for handle in handles {
            match handle.join() {
                Ok(Ok(outcomes)) => runs.push(outcomes),
                Ok(Err(error)) => failed = failed.or(Some(error)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let mut by_worker: Vec<_> = runs.into_iter().map(Vec::into_iter).collect();
        let in_order = (0..jobs.len()).filter_map(|job| by_worker[job % workers].next());
        Ok((requests, in_order.collect()))
    })
}

/// Reads a trace in chunks until its end, the limit, or `take` returns `false`.
pub fn read_all(
    trace: &mut dyn Trace,
    limit: u64,
    mut take: impl FnMut(Chunk) -> bool,
) -> Result<(), Error> {
    let mut left = limit;
    while left > 0 {
        if INTERRUPTED.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let mut chunk = Vec::with_capacity(CHUNK + 1);
        trace.fill(&mut chunk, CHUNK.min(left.try_into().unwrap_or(CHUNK)))?;
        if chunk.is_empty() {
            break;
        }
        left = left.saturating_sub(chunk.len() as u64);
        if !take(Arc::new(chunk)) {
            break;
        }
    }
    Ok(())
}

fn work(chunks: &Receiver<Chunk>, jobs: &[(Policy, u64)], plan: &Plan) -> Result<Vec<Run>, Error> {
    let memories: Vec<Vec<Frame>> = jobs
        .iter()
        .map(|_| (0..plan.frames).map(Frame::new).collect())
        .collect();
    let mut machines = Vec::new();
    for (&(policy, seed), frames) in jobs.iter().zip(&memories) {
        let plan = Plan {
            seed,
            ..plan.clone()
        };
        machines.push(policy.machine(frames, &plan)?);
    }
    for chunk in chunks {
        for machine in &mut machines {
            machine.feed(&chunk)?;
        }
    }
    let mut runs = Vec::new();
    for (machine, &(policy, seed)) in machines.into_iter().zip(jobs) {
        machine.check().map_err(Error::Machine)?;
        runs.push(Run {
            policy,
            seed,
            outcome: machine.finish(),
        });
    }
    Ok(runs)
}

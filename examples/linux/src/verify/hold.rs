//! The process that holds the pages: makes them in one state, and executes the requests of `verify`.

use super::protocol::{Reply, Request, Who};
use super::states::{Grip, Made, drain};
use crate::output;
use anyhow::{Context, Result};
use rustix::mm::Advice;
use std::io::{self, BufRead};

/// Serves requests until standard input ends, so that it does not outlive `verify`.
pub(crate) fn hold() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let mut made = None;
    for line in io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?).context("request")?;
        let reply = serve(request, &mut made);
        output::print(serde_json::to_string(&reply)? + "\n")?;
    }
    // Returning would wait for a thread whose read is not answered.
    std::process::exit(0);
}

fn serve(request: Request, made: &mut Option<Made>) -> Reply {
    let done = match request {
        Request::Make {
            state,
            pages,
            dir,
            slow,
        } => {
            return match state.make(pages as usize, &dir, slow.as_deref()) {
                Err(error) => Reply::Cannot(format!("{error:#}")),
                Ok(new) => {
                    let made = made.insert(new);
                    let _ = drain();
                    let pages = made.memory.len() / rustix::param::page_size();
                    Reply::Made {
                        address: made.memory.address(),
                        pages: pages as u64,
                        child: made.child.as_ref().map(|child| child.pid),
                    }
                }
            };
        }
        request => match made {
            None => return Reply::Cannot("nothing is held".to_owned()),
            Some(made) => act(&request, made),
        },
    };
    done.unwrap_or_else(|error| Reply::Cannot(format!("{error:#}")))
}

fn act(request: &Request, made: &mut Made) -> Result<Reply> {
    match request {
        Request::PageOut(Who::Holder) => Ok(match made.memory.advise(Advice::LinuxPageOut) {
            Ok(()) => Reply::Done,
            Err(error) => Reply::Refused(error.raw_os_error()),
        }),
        Request::PageOut(Who::Child) => {
            let child = made.child.as_mut().context("no child")?;
            Ok(match child.page_out()? {
                0 => Reply::Done,
                code => Reply::Refused(code),
            })
        }
        Request::InCore => Ok(Reply::InCore(made.memory.in_core()?)),
        Request::Release => {
            match &mut made.grip {
                Grip::Ring(ring) => ring.submitter().unregister_buffers()?,
                Grip::Read(reader) => {
                    if let Some(reader) = reader.take() {
                        let _ = reader.join();
                    }
                }
                Grip::None => {}
            }
            // Maps again what was unmapped and, being pinned, kept.
            made.memory.touch(false);
            drain()?;
            Ok(Reply::Done)
        }
        Request::Make { .. } => Ok(Reply::Cannot("it has pages already".to_owned())),
    }
}

//! A holder of pages, seen from `verify`.

use super::protocol::{Reply, Request};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running holder; killed when dropped.
pub(super) struct Holder {
    process: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Holder {
    /// Starts one, in a process group of its own: an interrupt at the terminal is for `verify`, which
    /// then cleans up in order.
    pub(super) fn start() -> Result<Self> {
        let mut process = Command::new("/proc/self/exe")
            .arg("hold")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot start the holder of the pages")?;
        let (Some(requests), Some(replies)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("the holder has no pipes");
        };
        Ok(Self {
            process,
            requests,
            replies: BufReader::new(replies),
        })
    }

    pub(super) fn pid(&self) -> i32 {
        self.process.id().cast_signed()
    }

    pub(super) fn ask(&mut self, request: &Request) -> Result<Reply> {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        self.requests
            .write_all(line.as_bytes())
            .context("the holder is gone")?;
        line.clear();
        self.replies.read_line(&mut line)?;
        if line.is_empty() {
            bail!("the holder ended, asked for {request:?}");
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        // A read that is held up keeps it from ending even so, and may arrive only now.
        for _ in 0..1000 {
            super::slow::answer_all();
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

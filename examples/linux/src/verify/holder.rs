//! Starts the process that holds the pages, and sends it requests.

use super::protocol::{Reply, Request};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The running process; killed when dropped.
pub(super) struct Holder {
    process: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Holder {
    /// Starts it in its own process group: an interrupt at the terminal goes to `verify` only, which
    /// then removes everything in order.
    pub(super) fn start() -> Result<Self> {
        let mut process = Command::new("/proc/self/exe")
            .arg("hold")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot start the process that holds the pages")?;
        let (Some(requests), Some(replies)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("the process that holds the pages has no pipes");
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
            .context("the process that holds the pages has ended")?;
        line.clear();
        self.replies.read_line(&mut line)?;
        if line.is_empty() {
            bail!("the process that holds the pages ended during {request:?}");
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        // It does not end while one of its reads waits, and a read may arrive only now.
        for _ in 0..1000 {
            super::slow::answer_all();
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

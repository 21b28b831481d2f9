//! Why a process may not be read, in terms of users and capabilities.

use procfs::process::Process;

/// The bits of the capabilities that each permit it (`include/uapi/linux/capability.h`).
const CAP_SYS_PTRACE: u64 = 1 << 19;
const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_PERFMON: u64 = 1 << 38;

/// What the permission depends on: `PTRACE_MODE_READ_FSCREDS` (`ptrace(2)`), and on newer kernels
/// `perfmon_capable` (`may_access_mm`; seen on 6.18).
#[derive(Debug, Clone, Copy)]
struct Access {
    /// The effective user ID of this program.
    own: u32,
    /// The effective user ID of the process.
    owner: Option<u32>,
    /// The effective capabilities of this program.
    capabilities: u64,
}

/// Why the memory map of process `pid` may not be read, and what to do about it.
pub(super) fn why(pid: i32) -> String {
    let status = |process: Process| process.status().ok();
    let own = Process::myself().ok().and_then(status);
    Access {
        own: rustix::process::geteuid().as_raw(),
        owner: Process::new(pid).ok().and_then(status).map(|it| it.euid),
        capabilities: own.map_or(0, |own| own.capeff),
    }
    .explain()
}

impl Access {
    fn explain(self) -> String {
        let own = self.own;
        if self.capabilities & CAP_SYS_PTRACE != 0 {
            return format!(
                "this program runs as user {own} with CAP_SYS_PTRACE, which is enough unless the \
                 process is in another user namespace or a security module (LSM) protects it"
            );
        }
        let who = match self.owner {
            Some(owner) if owner != own => format!("the process belongs to user {owner}"),
            _ => "the process has privileges that this program lacks".to_owned(),
        };
        let remedy = if own == 0 {
            "start this program with that capability (containers drop it by default)"
        } else {
            "run this program with sudo"
        };
        let newer = match self.capabilities & (CAP_PERFMON | CAP_SYS_ADMIN) {
            0 => " (newer kernels also accept CAP_PERFMON)",
            _ => "",
        };
        format!(
            "this program runs as user {own} without CAP_SYS_PTRACE{newer}, and {who}; {remedy}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(own: u32, owner: u32, capabilities: u64) -> String {
        let owner = Some(owner);
        Access {
            own,
            owner,
            capabilities,
        }
        .explain()
    }

    /// Fails if the cause is another one than the facts say, or the remedy is no remedy.
    #[test]
    fn the_missing_capability_is_named() {
        let user = explain(1000, 0, 0);
        assert!(user.contains("without CAP_SYS_PTRACE") && user.contains("sudo"));
        assert!(user.contains("user 1000") && user.contains("belongs to user 0"));
        let root = explain(0, 0, CAP_SYS_ADMIN);
        assert!(root.contains("without CAP_SYS_PTRACE") && !root.contains("sudo"));
        assert!(!root.contains("CAP_PERFMON"));
        let protected = explain(0, 0, CAP_SYS_PTRACE);
        assert!(protected.contains("with CAP_SYS_PTRACE") && protected.contains("LSM"));
    }
}

//! Finds the pins that Linux exports: registered buffers of `io_uring`, and direct I/O in flight.

use crate::model::{Evidence, Kind, PinnedRange};
use procfs::process::{FDTarget, Process};
use std::fs;

/// `O_DIRECT` in the `flags` of `fdinfo`.
const O_DIRECT: i32 = libc::O_DIRECT;

/// Finds the pins of a process, as far as Linux exports them; `pinned_kib` is its `VmPin`.
pub(super) fn find(
    pid: i32,
    process: &Process,
    pinned_kib: Option<u64>,
    unseen: &mut Vec<String>,
) -> Vec<PinnedRange> {
    let mut pins = Vec::new();
    match process.fd() {
        Err(error) => unseen.push(format!(
            "open files cannot be read ({error}), so registered buffers are not seen"
        )),
        Ok(fds) => {
            for fd in fds.flatten() {
                if matches!(&fd.target, FDTarget::AnonInode(name) if name.contains("io_uring")) {
                    match fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", fd.fd)) {
                        Ok(text) => pins.extend(registered(fd.fd, &text)),
                        Err(error) => unseen.push(format!(
                            "fdinfo of the io_uring fd {} cannot be read ({error}), so its buffers \
                             are not seen",
                            fd.fd
                        )),
                    }
                }
            }
        }
    }
    weigh(&mut pins, pinned_kib, unseen);
    pins.extend(in_flight(pid));
    pins
}

/// The registered buffers in the `fdinfo` of a ring.
fn registered(fd: i32, text: &str) -> Vec<PinnedRange> {
    let after = text
        .lines()
        .skip_while(|line| !line.starts_with("UserBufs:"))
        .skip(1);
    after
        .map_while(|line| {
            // "    0: 0x7f9d1a400000/262144", or "<none>" for an empty slot.
            let (slot, buffer) = line.split_once(':')?;
            Some((slot.trim().parse::<u32>().ok()?, buffer.trim()))
        })
        .filter_map(|(slot, buffer)| {
            let (start, len) = buffer.split_once('/')?;
            Some(PinnedRange {
                start: u64::from_str_radix(start.strip_prefix("0x")?, 16).ok()?,
                len: len.trim().parse().ok()?,
                kind: Kind::Longterm,
                by: format!("io_uring fd {fd}, buffer {slot}"),
                evidence: Evidence::Listed,
            })
        })
        .collect()
}

/// Compares the listed buffers with `VmPin`. A ring that was inherited over a fork lists addresses
/// in the address space that registered them, and its pins are accounted there.
fn weigh(pins: &mut [PinnedRange], pinned_kib: Option<u64>, unseen: &mut Vec<String>) {
    if pins.is_empty() {
        if let Some(kib) = pinned_kib.filter(|kib| *kib > 0) {
            unseen.push(format!(
                "VmPin says that {kib} KiB are pinned long-term; Linux does not export where"
            ));
        }
        return;
    }
    let listed: u64 = pins.iter().map(|pin| pin.len.div_ceil(1024)).sum();
    let evidence = match pinned_kib {
        Some(0) => {
            unseen.push(format!(
                "{} registered buffers are listed, but VmPin is 0: the io_uring was inherited, and \
                 the pins are in another address space",
                pins.len()
            ));
            Evidence::Elsewhere
        }
        Some(kib) if kib >= listed => {
            if kib > listed {
                let more = kib - listed;
                unseen.push(format!(
                    "VmPin says that {more} KiB more are pinned than the listed buffers explain"
                ));
            }
            Evidence::Accounted
        }
        _ => {
            unseen.push(
                "VmPin is smaller than the listed buffers, so some of them are pinned elsewhere"
                    .to_owned(),
            );
            Evidence::Listed
        }
    };
    for pin in pins {
        pin.evidence = evidence;
    }
}

/// Finds threads inside a direct read or write: the pages of the buffer may be pinned until it ends.
fn in_flight(pid: i32) -> Vec<PinnedRange> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| {
            let tid = task.file_name().into_string().ok()?;
            let call = fs::read_to_string(task.path().join("syscall")).ok()?;
            let (fd, start, len) = buffer_of(&call)?;
            let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
            is_direct(&info).then(|| PinnedRange {
                start,
                len,
                kind: Kind::Short,
                by: format!("direct I/O of thread {tid} on fd {fd}"),
                evidence: Evidence::InFlight,
            })
        })
        .collect()
}

/// The file and the buffer of a read or write in `/proc/PID/task/TID/syscall`.
fn buffer_of(call: &str) -> Option<(u64, u64, u64)> {
    let mut words = call.split_whitespace();
    let number: i64 = words.next()?.parse().ok()?;
    let calls = [
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_pread64,
        libc::SYS_pwrite64,
    ];
    if !calls.contains(&number) {
        return None;
    }
    let mut argument = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    Some((argument()?, argument()?, argument()?))
}

fn is_direct(fdinfo: &str) -> bool {
    fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & O_DIRECT != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FDINFO: &str = "\
pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1044\nSqMask:\t0x7\nSqHead:\t0\nUserFiles:\t0\n\
UserBufs:\t3\n    0: 0x7f9d1a400000/262144\n    1: <none>\n    2: 0x7f9d1a500800/4096\n\
PollList:\nCqOverflowList:\n";

    fn buffers(pinned_kib: Option<u64>) -> (Vec<PinnedRange>, Vec<String>) {
        let (mut pins, mut unseen) = (registered(5, FDINFO), Vec::new());
        weigh(&mut pins, pinned_kib, &mut unseen);
        (pins, unseen)
    }

    /// Fails if an empty slot ends the list or becomes a buffer, or the slots lose their numbers.
    #[test]
    fn buffers_are_read_and_empty_slots_are_not() {
        let (pins, _) = buffers(None);
        let found: Vec<_> = pins
            .iter()
            .map(|pin| (pin.start, pin.len, pin.by.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                (0x7f9d_1a40_0000, 262_144, "io_uring fd 5, buffer 0"),
                (0x7f9d_1a50_0800, 4096, "io_uring fd 5, buffer 2"),
            ]
        );
    }

    /// Fails if a page that a buffer covers in part is missed, or one beside it is taken.
    #[test]
    fn a_buffer_covers_the_pages_that_it_touches() {
        let (pins, _) = buffers(Some(260));
        let covered = |page: u64| pins[1].covers(0x7f9d_1a50_0000 + page * 4096, 4096);
        assert_eq!([covered(0), covered(1), covered(2)], [true, true, false]);
    }

    /// Fails if the buffers of an inherited ring are taken for pins of the process that inherited it.
    #[test]
    fn an_inherited_ring_pins_nothing_here() {
        let (pins, unseen) = buffers(Some(0));
        assert!(pins.iter().all(|pin| pin.evidence == Evidence::Elsewhere));
        assert!(!pins[0].covers(pins[0].start, 4096));
        assert!(unseen[0].contains("inherited"));
    }

    /// Fails if the evidence is stated stronger than `VmPin` makes it.
    #[test]
    fn evidence_follows_vm_pin() {
        assert_eq!(buffers(Some(260)).0[0].evidence, Evidence::Accounted);
        assert_eq!(buffers(Some(100)).0[0].evidence, Evidence::Listed);
        assert_eq!(buffers(None).0[0].evidence, Evidence::Listed);
        assert!(buffers(Some(300)).1[0].contains("40 KiB more"));
    }

    /// Fails if another call's arguments are taken for a buffer.
    #[test]
    fn only_reads_and_writes_have_a_buffer() {
        let read = format!(
            "{} 0x3 0x7f0000001000 0x2000 0x0 0x0 0x0 0x7ffc 0x7f00",
            libc::SYS_pread64
        );
        assert_eq!(buffer_of(&read), Some((3, 0x7f00_0000_1000, 0x2000)));
        assert_eq!(
            buffer_of(&format!("{} 0x3 0x7f00 0x10", libc::SYS_ioctl)),
            None
        );
        assert_eq!(buffer_of("running"), None);
        assert!(is_direct("pos:\t0\nflags:\t0140000\n"));
        assert!(!is_direct(FDINFO));
    }
}

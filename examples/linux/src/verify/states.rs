//! The states that pages are made in.

use crate::model::Seen;
use crate::page::kpf;
use crate::read::Entry;
use crate::sys::{self, Memory};
use anyhow::{Context, Result, bail, ensure};
use io_uring::IoUring;
use nix::unistd::ForkResult;
use rustix::fs::{MemfdFlags, OFlags};
use rustix::mm::Advice;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::{self, JoinHandle};

const HUGE: usize = 2 << 20;

/// A state that pages are made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    AnonDirty,
    AnonClean,
    ProtNone,
    Mlocked,
    Lazyfree,
    LazyfreeWritten,
    ZeroPage,
    Thp,
    ForkShared,
    Shmem,
    MappedTwice,
    FileClean,
    FileDirty,
    Spliced,
    Registered,
    RegisteredLazyfree,
    RegisteredThp,
    RegisteredShmem,
    ForkPinned,
    DirectIo,
}

/// Pages in a state, and what keeps them in that state.
pub(super) struct Made {
    pub(super) memory: Memory,
    pub(super) child: Option<Child>,
    pub(super) grip: Grip,
    /// Second mappings and files.
    _keep: Vec<Box<dyn Any>>,
}

/// What holds a pin that can be dropped.
pub(super) enum Grip {
    None,
    Ring(Box<IoUring>),
    Read(Option<JoinHandle<()>>),
}

/// A forked process that maps the same pages.
pub(super) struct Child {
    pub(super) pid: i32,
    socket: UnixStream,
}

impl State {
    pub(super) const ALL: [Self; 20] = [
        Self::AnonDirty,
        Self::AnonClean,
        Self::ProtNone,
        Self::Mlocked,
        Self::Lazyfree,
        Self::LazyfreeWritten,
        Self::ZeroPage,
        Self::Thp,
        Self::ForkShared,
        Self::Shmem,
        Self::MappedTwice,
        Self::FileClean,
        Self::FileDirty,
        Self::Spliced,
        Self::Registered,
        Self::RegisteredLazyfree,
        Self::RegisteredThp,
        Self::RegisteredShmem,
        Self::ForkPinned,
        Self::DirectIo,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AnonDirty => "anonymous, dirty",
            Self::AnonClean => "anonymous, clean (in swap cache)",
            Self::ProtNone => "anonymous, PROT_NONE",
            Self::Mlocked => "mlocked",
            Self::Lazyfree => "MADV_FREE",
            Self::LazyfreeWritten => "MADV_FREE, then written",
            Self::ZeroPage => "zero page",
            Self::Thp => "transparent huge page",
            Self::ForkShared => "shared after fork (COW)",
            Self::Shmem => "shared memory",
            Self::MappedTwice => "mapped twice (memfd)",
            Self::FileClean => "shared file, clean",
            Self::FileDirty => "shared file, dirty",
            Self::Spliced => "held by vmsplice (no pin)",
            Self::Registered => "pinned by io_uring",
            Self::RegisteredLazyfree => "pinned by io_uring, MADV_FREE",
            Self::RegisteredThp => "pinned by io_uring, huge page",
            Self::RegisteredShmem => "pinned by io_uring, shared memory",
            Self::ForkPinned => "pinned by io_uring, then forked",
            Self::DirectIo => "pinned by direct I/O in flight",
        }
    }

    /// Whether the pages are pinned until they are released.
    pub(super) const fn is_pinned(self) -> bool {
        matches!(
            self,
            Self::Registered
                | Self::RegisteredLazyfree
                | Self::RegisteredThp
                | Self::RegisteredShmem
                | Self::ForkPinned
                | Self::DirectIo
        )
    }

    /// Whether the pages are in the page cache, including shared memory.
    pub(super) const fn is_cached(self) -> bool {
        matches!(
            self,
            Self::Shmem
                | Self::MappedTwice
                | Self::FileClean
                | Self::FileDirty
                | Self::RegisteredShmem
        )
    }

    /// Whether `/proc` shows the page in this state. Pages that are not in it are not compared.
    pub(super) fn shows(self, entry: &Entry) -> bool {
        let frame = match entry.seen {
            Some(Seen::Frame(frame)) => frame,
            Some(Seen::Zero) => return self == Self::ZeroPage,
            _ => return false,
        };
        let has = |bits| frame.flags & bits == bits;
        let swapped_anon = has(kpf::ANON | kpf::SWAPBACKED);
        match self {
            Self::AnonDirty
            | Self::ProtNone
            | Self::Registered
            | Self::DirectIo
            | Self::Spliced => swapped_anon && frame.maps == 1 && frame.pages == 1,
            Self::AnonClean => swapped_anon && has(kpf::SWAPCACHE) && !has(kpf::DIRTY),
            Self::Mlocked => swapped_anon && has(kpf::UNEVICTABLE),
            Self::Lazyfree | Self::LazyfreeWritten | Self::RegisteredLazyfree => {
                has(kpf::ANON) && !has(kpf::SWAPBACKED)
            }
            Self::ZeroPage => false,
            Self::Thp | Self::RegisteredThp => swapped_anon && frame.pages == 512 && frame.pmd,
            Self::ForkShared => swapped_anon && frame.maps == 2,
            Self::Shmem | Self::RegisteredShmem => {
                has(kpf::SWAPBACKED) && !has(kpf::ANON) && frame.maps == 1
            }
            Self::MappedTwice => has(kpf::SWAPBACKED) && !has(kpf::ANON) && frame.maps == 2,
            Self::FileClean => !has(kpf::ANON) && !has(kpf::DIRTY) && frame.maps == 1,
            Self::FileDirty => !has(kpf::ANON) && has(kpf::DIRTY) && frame.maps == 1,
            // Pinned pages are copied for the child at fork, so they are not shared.
            Self::ForkPinned => swapped_anon && frame.maps == 1,
        }
    }

    /// Makes the pages.
    pub(super) fn make(self, pages: usize, dir: &Path, slow: Option<&Path>) -> Result<Made> {
        let len = pages * rustix::param::page_size();
        match self {
            Self::AnonDirty => Ok(Made::of(anon(len)?)),
            Self::AnonClean => anon_clean(len),
            Self::ProtNone => {
                let memory = anon(len)?;
                memory.forbid()?;
                Ok(Made::of(memory))
            }
            Self::Mlocked => {
                let memory = anon(len)?;
                memory.lock().context("mlock")?;
                Ok(Made::of(memory))
            }
            Self::Lazyfree | Self::LazyfreeWritten => lazyfree(len, self == Self::LazyfreeWritten),
            Self::ZeroPage => {
                let memory = Memory::anonymous(len, false)?;
                memory.touch(false);
                Ok(Made::of(memory))
            }
            Self::Thp => Ok(Made::of(huge()?)),
            Self::ForkShared => Made::of(anon(len)?).fork(),
            Self::Shmem => Ok(Made::of(shmem(len)?)),
            Self::MappedTwice => mapped_twice(len),
            Self::FileClean | Self::FileDirty => file(len, dir, self == Self::FileDirty),
            Self::Spliced => spliced(len),
            Self::Registered => registered(anon(len)?),
            Self::RegisteredLazyfree => {
                let made = registered(anon(len)?)?;
                made.memory.advise(Advice::LinuxFree)?;
                Ok(made)
            }
            Self::RegisteredThp => registered(huge()?),
            Self::RegisteredShmem => registered(shmem(len)?),
            Self::ForkPinned => registered(anon(len)?)?.fork(),
            // Not more than one FUSE read.
            Self::DirectIo => direct_io(len.min(16 * rustix::param::page_size()), slow),
        }
    }
}

impl Made {
    fn of(memory: Memory) -> Self {
        Self {
            memory,
            child: None,
            grip: Grip::None,
            _keep: Vec::new(),
        }
    }

    fn keeping(mut self, what: impl Any) -> Self {
        self._keep.push(Box::new(what));
        self
    }

    /// Forks a child that maps the same pages, and pages them out on request.
    fn fork(mut self) -> Result<Self> {
        let (ours, mut theirs) = UnixStream::pair()?;
        match sys::fork().context("fork")? {
            ForkResult::Parent { child } => {
                drop(theirs);
                self.child = Some(Child {
                    pid: child.as_raw(),
                    socket: ours,
                });
                Ok(self)
            }
            ForkResult::Child => {
                drop(ours);
                let _ = rustix::process::set_parent_process_death_signal(Some(
                    rustix::process::Signal::KILL,
                ));
                let mut word = [0; 4];
                while theirs.read_exact(&mut word).is_ok() {
                    let code = self.memory.advise(Advice::LinuxPageOut).err();
                    let code = code.map_or(0, rustix::io::Errno::raw_os_error);
                    if theirs.write_all(&code.to_ne_bytes()).is_err() {
                        break;
                    }
                }
                std::process::exit(0);
            }
        }
    }
}

impl Child {
    /// Lets it reclaim its pages with `MADV_PAGEOUT`. Returns the error number, or 0.
    pub(super) fn page_out(&mut self) -> Result<i32> {
        self.socket.write_all(&[0; 4])?;
        let mut word = [0; 4];
        self.socket.read_exact(&mut word)?;
        Ok(i32::from_ne_bytes(word))
    }
}

fn anon(len: usize) -> Result<Memory> {
    let memory = Memory::anonymous(len, false)?;
    memory.advise(Advice::LinuxNoHugepage)?;
    memory.touch(true);
    Ok(memory)
}

fn shmem(len: usize) -> Result<Memory> {
    let memory = Memory::anonymous(len, true)?;
    memory.touch(true);
    Ok(memory)
}

/// Pages that were swapped out and read back. A child keeps the swap slots in use, so that the pages
/// stay in the swap cache, clean.
fn anon_clean(len: usize) -> Result<Made> {
    let memory = anon(len)?;
    memory.advise(Advice::LinuxPageOut)?;
    let made = Made::of(memory).fork()?;
    made.memory.touch(false);
    Ok(made)
}

fn lazyfree(len: usize, written: bool) -> Result<Made> {
    let memory = anon(len)?;
    memory.advise(Advice::LinuxFree)?;
    if written {
        drain()?;
        memory.touch(true);
    }
    Ok(Made::of(memory))
}

fn huge() -> Result<Memory> {
    let memory = Memory::aligned(HUGE)?;
    memory
        .advise(Advice::LinuxHugepage)
        .context("no transparent huge pages")?;
    memory.touch(true);
    Ok(memory)
}

fn mapped_twice(len: usize) -> Result<Made> {
    let file = File::from(rustix::fs::memfd_create("pinfold", MemfdFlags::CLOEXEC)?);
    file.set_len(len as u64)?;
    let (memory, again) = (Memory::file(&file, len)?, Memory::file(&file, len)?);
    memory.touch(true);
    again.touch(true);
    Ok(Made::of(memory).keeping(again).keeping(file))
}

fn file(len: usize, dir: &Path, dirty: bool) -> Result<Made> {
    let mut file = tempfile::tempfile_in(dir)?;
    // Page by page, so that the page cache has no large folios.
    for _ in (0..len).step_by(rustix::param::page_size()) {
        file.write_all(&vec![7; rustix::param::page_size()])?;
    }
    file.sync_all()?;
    let memory = Memory::file(&file, len)?;
    memory.advise(Advice::Random)?;
    memory.touch(dirty);
    Ok(Made::of(memory).keeping(file))
}

fn spliced(len: usize) -> Result<Made> {
    let memory = anon(len)?;
    let (out, into) = rustix::pipe::pipe()?;
    let _ = rustix::pipe::fcntl_setpipe_size(&into, len);
    let held = memory.splice_into(&into).context("vmsplice")?;
    ensure!(held == len, "the pipe holds {held} of {len} bytes");
    Ok(Made::of(memory).keeping((out, into)))
}

fn registered(memory: Memory) -> Result<Made> {
    let ring = IoUring::new(4).context("no io_uring")?;
    memory.register(&ring).context("IORING_REGISTER_BUFFERS")?;
    Ok(Made {
        grip: Grip::Ring(Box::new(ring)),
        ..Made::of(memory)
    })
}

/// A thread reads into the pages with direct I/O from a file that does not answer.
fn direct_io(len: usize, slow: Option<&Path>) -> Result<Made> {
    let Some(slow) = slow else {
        bail!("there is no FUSE file whose reads wait");
    };
    let direct = i32::try_from(OFlags::DIRECT.bits())?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(direct)
        .open(slow)?;
    let memory = anon(len)?;
    let view = memory.view();
    let reader = thread::spawn(move || {
        let _ = view.fill_from(&file);
    });
    Ok(Made {
        grip: Grip::Read(Some(reader)),
        ..Made::of(memory)
    })
}

/// Empties the per-CPU batches of pages that are not on the LRU lists yet, on each CPU on which this
/// process may have run: `madvise` empties that of its own CPU only (`lru_add_drain`, `mm/swap.c`).
pub(super) fn drain() -> Result<()> {
    // The affinity is that of a thread: the caller keeps its own.
    let each_cpu = || -> Result<()> {
        let allowed = sched_getaffinity(None)?;
        let memory = Memory::anonymous(rustix::param::page_size(), false)?;
        memory.touch(true);
        for cpu in (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)) {
            let mut one = CpuSet::new();
            one.set(cpu);
            sched_setaffinity(None, &one)?;
            memory.advise(Advice::LinuxCold)?;
        }
        Ok(())
    };
    let ended = thread::spawn(each_cpu).join();
    ended.unwrap_or_else(|_| bail!("the thread that empties the batches has panicked"))
}

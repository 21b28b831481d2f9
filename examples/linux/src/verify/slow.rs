//! A FUSE filesystem with one file whose reads are answered only on request. Until then direct I/O is
//! in flight, and its pages are pinned.

use crate::output::note;
use anyhow::{Context, Result, bail};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, ReplyOpen,
    Request,
};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

const FILE: INodeNo = INodeNo(2);
const SIZE: u64 = 1 << 30;

/// The mounted filesystem. Dropping it answers its reads and unmounts it.
pub(super) struct SlowFs {
    reads: Arc<Reads>,
    session: Option<BackgroundSession>,
    file: PathBuf,
}

#[derive(Default)]
struct Reads {
    waiting: Mutex<Vec<(ReplyData, u32)>>,
    came: Condvar,
}

/// The reads of the mounted filesystem, for callers that do not have the filesystem.
static HELD: Mutex<Option<Arc<Reads>>> = Mutex::new(None);

/// Answers all waiting reads. A process that waits for one does not end even when it is killed.
pub(super) fn answer_all() {
    if let Some(reads) = &*HELD.lock().unwrap_or_else(PoisonError::into_inner) {
        reads.answer();
    }
}

impl Reads {
    fn answer(&self) {
        for (reply, size) in self.lock().drain(..) {
            reply.data(&vec![3; size as usize]);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(ReplyData, u32)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SlowFs {
    /// Mounts it on an empty directory.
    pub(super) fn mount(dir: &Path) -> Result<Self> {
        let reads = Arc::new(Reads::default());
        *HELD.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&reads));
        let fs = Slow(Arc::clone(&reads));
        let session = fuser::spawn_mount(fs, dir, &Config::default()).context("FUSE")?;
        Ok(Self {
            reads,
            session: Some(session),
            file: dir.join("slow"),
        })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Waits until a read has arrived: its pages are pinned from then until it is answered.
    pub(super) fn wait(&self) -> Result<()> {
        let patience = Duration::from_secs(30);
        let (reads, _) = self
            .reads
            .came
            .wait_timeout_while(self.reads.lock(), patience, |waiting| waiting.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        if reads.is_empty() {
            bail!("no read arrived within 30 seconds");
        }
        Ok(())
    }

    /// Answers all reads.
    pub(super) fn answer(&self) {
        self.reads.answer();
    }
}

impl Drop for SlowFs {
    fn drop(&mut self) {
        self.answer();
        if let Some(Err(error)) = self.session.take().map(BackgroundSession::umount_and_join) {
            let file = self.file.display();
            note(format_args!("left behind: mount on {file}: {error}"));
        }
    }
}

struct Slow(Arc<Reads>);

impl Filesystem for Slow {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == "slow" {
            reply.entry(&Duration::ZERO, &attributes(FILE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&Duration::ZERO, &attributes(inode));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.0.lock().push((reply, size));
        self.0.came.notify_all();
    }
}

fn attributes(inode: INodeNo) -> FileAttr {
    let file = inode == FILE;
    FileAttr {
        ino: inode,
        size: if file { SIZE } else { 0 },
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if file {
            FileType::RegularFile
        } else {
            FileType::Directory
        },
        perm: if file { 0o400 } else { 0o700 },
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

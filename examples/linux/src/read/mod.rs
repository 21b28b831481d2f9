//! Reads the state of a process from `/proc`, and changes nothing.

mod denied;
mod frames;
mod pages;
mod pins;
mod scan;

pub(crate) use pages::Entry;

use crate::model::{Area, Dirtiness, Observed, Process};
use procfs::process::{MMapPath, MemoryMap, Process as ProcProcess, VmFlags};
use procfs::{Current, Meminfo, ProcError};

/// Why a process could not be read at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// It ended before it was read, or there never was one.
    #[error("there is no process {0}, or it has ended")]
    Gone(i32),
    /// Its memory map may not be read.
    #[error("no permission to read the memory map of process {pid}: {why}")]
    Denied { pid: i32, why: String },
    /// Anything else.
    #[error("cannot read {what} of process {pid}")]
    Failed {
        pid: i32,
        what: &'static str,
        source: ProcError,
    },
}

impl ReadError {
    fn new(pid: i32, what: &'static str, source: ProcError) -> Self {
        match source {
            ProcError::NotFound(_) => Self::Gone(pid),
            ProcError::PermissionDenied(_) => Self::denied(pid),
            // What reading returns once the process has exited and its memory is gone.
            ProcError::Io(ref error, _) if error.raw_os_error() == Some(libc::ESRCH) => {
                Self::Gone(pid)
            }
            source => Self::Failed { pid, what, source },
        }
    }

    fn denied(pid: i32) -> Self {
        let why = denied::why(pid);
        Self::Denied { pid, why }
    }
}

/// Reads process `pid`.
///
/// # Errors
///
/// The process is gone or may not be read. What else cannot be read is listed in
/// [`Observed::unseen`].
pub(crate) fn observe(pid: i32) -> Result<Observed, ReadError> {
    let fail = |what| move |source| ReadError::new(pid, what, source);
    let process = ProcProcess::new(pid).map_err(fail("the /proc directory"))?;
    let status = process.status().map_err(fail("the status"))?;
    let mut unseen = Vec::new();
    let maps = match process.smaps() {
        Ok(maps) => maps,
        Err(ProcError::PermissionDenied(_)) => return Err(ReadError::denied(pid)),
        Err(error) => {
            unseen.push(format!(
                "smaps cannot be read ({error}), so locked VMAs are not known"
            ));
            process.maps().map_err(fail("the memory map"))?
        }
    };
    let mut pages = pages::Reader::open(pid, &process, &mut unseen);
    let mut areas = Vec::new();
    for map in maps {
        let mut area = area(&map);
        if is_resident(&map) {
            area.runs = pages.runs(area.start..area.end);
        }
        areas.push(area);
    }
    pages.finish(&mut unseen);
    if areas.is_empty() && !process.is_alive() {
        return Err(ReadError::Gone(pid));
    }
    if areas.is_empty() {
        unseen.push(
            "there is no memory map: a kernel thread, or a process that is exiting".to_owned(),
        );
    }
    let pins = pins::find(pid, &process, status.vmpin, &mut unseen);
    Ok(Observed {
        kernel: kernel(),
        page_size: procfs::page_size(),
        swap_free_kib: swap_free_kib(&mut unseen),
        process: Process {
            pid,
            command: status.name,
            locked_kib: status.vmlck,
            pinned_kib: status.vmpin,
        },
        unseen,
        pins,
        areas,
    })
}

/// Reads the page-table entries of `pages` pages from `start` on, with their frame numbers.
///
/// # Errors
///
/// Any page that cannot be read.
pub(crate) fn entries(pid: i32, start: u64, pages: u64) -> Result<Vec<Entry>, ReadError> {
    let fail = |what| move |source| ReadError::new(pid, what, source);
    let process = ProcProcess::new(pid).map_err(fail("the /proc directory"))?;
    let mut unseen = Vec::new();
    let mut reader = pages::Reader::open(pid, &process, &mut unseen);
    let entries = reader.entries(start, pages);
    reader.finish(&mut unseen);
    match unseen.first() {
        None => Ok(entries),
        Some(line) => Err(fail("the page table")(ProcError::Other(line.clone()))),
    }
}

/// Reads what Linux exports about the frame with this number.
pub(crate) fn frame(pfn: u64) -> Option<crate::model::Frame> {
    frames::Frames::open().ok()?.get(pfn, false)
}

/// The release of the running kernel.
pub(crate) fn kernel() -> String {
    let name = rustix::system::uname();
    format!(
        "{} {}",
        name.sysname().to_string_lossy(),
        name.release().to_string_lossy()
    )
}

fn swap_free_kib(unseen: &mut Vec<String>) -> u64 {
    match Meminfo::current() {
        Ok(info) => info.swap_free / 1024,
        Err(error) => {
            unseen.push(format!(
                "/proc/meminfo cannot be read ({error}); swap is assumed to be full"
            ));
            0
        }
    }
}

/// Whether the VMA has pages in memory or in swap; without `smaps` it may have.
fn is_resident(map: &MemoryMap) -> bool {
    let kib = |key| map.extension.map.get(key).copied();
    kib("Rss").is_none_or(|bytes| bytes > 0) || kib("Swap").is_some_and(|bytes| bytes > 0)
        // The kernel does not count the pages of the vDSO as resident, but pagemap shows them.
        || matches!(map.pathname, MMapPath::Vdso)
}

fn area(map: &MemoryMap) -> Area {
    let size = |key| map.extension.map.get(key).copied();
    let dirty = match (size("Rss"), size("Shared_Dirty"), size("Private_Dirty")) {
        (Some(_), Some(0), Some(0)) => Dirtiness::Clean,
        (Some(rss), Some(shared), Some(private)) if shared + private == rss => Dirtiness::Dirty,
        _ => Dirtiness::Unknown,
    };
    Area {
        start: map.address.0,
        end: map.address.1,
        perms: map.perms.as_str(),
        name: name(&map.pathname),
        vm_flags: flag_names(map.extension.vm_flags),
        dirty,
        no_lazyfree: size("LazyFree") == Some(0),
        runs: Vec::new(),
    }
}

/// The flags that decisions use or that help the reader, as `smaps` spells them.
fn flag_names(flags: VmFlags) -> Vec<String> {
    let table = [
        (VmFlags::SH, "sh"),
        (VmFlags::EX, "ex"),
        (VmFlags::LO, "lo"),
        (VmFlags::IO, "io"),
        (VmFlags::PF, "pf"),
        (VmFlags::HT, "ht"),
        (VmFlags::HG, "hg"),
        (VmFlags::UM, "um"),
        (VmFlags::UW, "uw"),
    ];
    let names = table.iter().filter(|(flag, _)| flags.contains(*flag));
    names.map(|(_, name)| (*name).to_owned()).collect()
}

fn name(path: &MMapPath) -> String {
    match path {
        MMapPath::Path(path) => path.display().to_string(),
        MMapPath::Heap => "[heap]".to_owned(),
        MMapPath::Stack => "[stack]".to_owned(),
        MMapPath::TStack(tid) => format!("[stack:{tid}]"),
        MMapPath::Vdso => "[vdso]".to_owned(),
        MMapPath::Vvar => "[vvar]".to_owned(),
        MMapPath::Vsyscall => "[vsyscall]".to_owned(),
        MMapPath::Anonymous => String::new(),
        MMapPath::Other(other) => format!("[{other}]"),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use procfs::FromRead;
    use procfs::process::MemoryMaps;

    const SMAPS: &str = "\
7f0000000000-7f0000004000 rw-s 00000000 00:01 3205 /dev/zero (deleted)
Size:                 16 kB
Rss:                  16 kB
Shared_Clean:          0 kB
Shared_Dirty:          8 kB
Private_Clean:         0 kB
Private_Dirty:         8 kB
LazyFree:              4 kB
Swap:                  0 kB
VmFlags: rd wr sh mr mw me ms lo um zz 
";

    /// Fails if `VmFlags` are not read, an unknown flag is an error, or the dirty sizes are mixed up.
    #[test]
    fn smaps_become_an_area() {
        let maps = MemoryMaps::from_read(SMAPS.as_bytes()).expect("smaps are read");
        let area = area(&maps.0[0]);
        assert_eq!(area.vm_flags, ["sh", "lo", "um"]);
        assert_eq!((area.dirty, area.no_lazyfree), (Dirtiness::Dirty, false));
        assert_eq!(
            (area.start, area.end - area.start),
            (0x7f00_0000_0000, 0x4000)
        );
        let locked = crate::page::vm_flags(&area);
        assert_eq!(locked, pinfold::VmFlags::LOCKED | pinfold::VmFlags::UFFD);
    }

    /// Fails if a VMA with some dirty pages is taken for one with all dirty, or with none.
    #[test]
    fn dirtiness_is_known_only_at_the_ends() {
        for (shared, known) in [(8, Dirtiness::Dirty), (4, Dirtiness::Unknown)] {
            let text = SMAPS.replace(
                "Shared_Dirty:          8",
                &format!("Shared_Dirty: {shared}"),
            );
            let maps = MemoryMaps::from_read(text.as_bytes()).expect("smaps are read");
            assert_eq!(area(&maps.0[0]).dirty, known);
        }
    }
}

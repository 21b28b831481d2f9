//! Where results go: standard output, a file, or a pipe or device. All that the program prints goes
//! through here, so that a full output is an error and a closed one is no panic.

use crate::error::Error;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A place to write one result to, which could be written to when it was opened.
pub struct Output {
    name: PathBuf,
    place: Place,
}

enum Place {
    /// Standard output or standard error.
    Stream(Box<dyn Write>),
    /// A pipe or a device; or a file that cannot be replaced.
    Opened(File),
    /// A regular file, or one that is not there yet.
    Replace {
        path: PathBuf,
        old: Option<Metadata>,
    },
}

impl Output {
    /// Standard output.
    pub fn standard() -> Self {
        Self {
            name: "standard output".into(),
            place: Place::Stream(Box::new(io::stdout())),
        }
    }

    /// Finds out how `path` is to be written: `-` is standard output, links are followed. Nothing that
    /// is there is changed. A named pipe is opened, which waits for its reader as in a shell.
    ///
    /// # Errors
    ///
    /// A directory, a place that does not exist, and one that may not be written to.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path == "-" {
            return Ok(Self::standard());
        }
        let wrong = |found| Error::config(path.display().to_string(), found, "a file to write");
        let failed = || Error::write(path);
        let place = match fs::metadata(path) {
            Ok(old) if old.is_dir() => return Err(wrong("a directory")),
            Ok(old) => match own_stream(&old) {
                Some(stream) => Place::Stream(stream),
                None => {
                    let file = OpenOptions::new().write(true).open(path);
                    let file = file.map_err(failed())?;
                    let target = path.canonicalize().map_err(failed());
                    match target {
                        Ok(path) if old.is_file() && replaceable(&path, &old) => Place::Replace {
                            path,
                            old: Some(old),
                        },
                        _ => Place::Opened(file),
                    }
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = end_of_links(path);
                if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
                    return Err(wrong("a directory that does not exist"));
                }
                if !directory(&path).is_dir() {
                    return Err(wrong("no such directory"));
                }
                beside(&path, None).map_err(failed())?;
                Place::Replace { path, old: None }
            }
            Err(error) => return Err(failed()(error)),
        };
        Ok(Self {
            name: path.to_owned(),
            place,
        })
    }

    /// Whether both would be written to the same file.
    pub fn same_file(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Place::Replace { path: one, .. }, Place::Replace { path: two, .. }) => one == two,
            _ => false,
        }
    }

    /// Writes all that `fill` does. A regular file has its old content until then, and keeps its mode
    /// and owner. A reader of standard output that has gone away is no error.
    ///
    /// # Errors
    ///
    /// The first of `fill` or of a write; `io::ErrorKind::Interrupted` stands for Ctrl-C.
    pub fn write(self, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
        let written = match self.place {
            Place::Stream(stream) => match filled(stream, fill) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                written => written,
            },
            Place::Opened(file) => emptied(&file).and_then(|()| filled(&file, fill)),
            Place::Replace { path, old } => replace(&path, old.as_ref(), fill),
        };
        written.map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => Error::Interrupted,
            _ => Error::write(self.name)(error),
        })
    }

    /// Writes a text.
    pub fn write_text(self, text: &str) -> Result<(), Error> {
        self.write(|out| out.write_all(text.as_bytes()))
    }
}

/// Prints to standard output.
pub fn print(text: &str) -> Result<(), Error> {
    Output::standard().write_text(text)
}

/// Prints a line to standard error.
pub fn note(line: &str) -> Result<(), Error> {
    // In one piece: standard error has no buffer.
    io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .map_err(Error::write("standard error"))
}

fn filled(to: impl Write, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut buffered = BufWriter::with_capacity(1 << 16, to);
    let written = fill(&mut buffered).and_then(|()| buffered.flush());
    if written.is_err() {
        // What could not be written is not tried again when the buffer is dropped.
        let _ = buffered.into_parts();
    }
    written
}

fn emptied(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok(())
}

fn replace(
    path: &Path,
    old: Option<&Metadata>,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let file = beside(path, old)?;
    filled(file.as_file(), fill)?;
    if let Some(old) = old {
        // After the owner: a change of owner takes set-user-ID away.
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// A temporary file in the directory of `path`, with the owner of the file that it is to replace and
/// never more permissions.
fn beside(path: &Path, old: Option<&Metadata>) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pinfold-sim-").suffix(".part");
    if let Some(permissions) = old.map(Metadata::permissions).or_else(any_by_umask) {
        builder.permissions(permissions);
    }
    let file = builder.tempfile_in(directory(path));
    // Without the temporary name, which says nothing to the user.
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::Other => error,
        kind => kind.into(),
    })?;
    if let Some(old) = old {
        same_owner(file.as_file(), old)?;
    }
    Ok(file)
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != "" => parent,
        _ => Path::new("."),
    }
}

/// A file with a second name stays one file with both, and a file in a directory that allows no new
/// ones, or of an owner who cannot be kept, is written as it is.
fn replaceable(path: &Path, old: &Metadata) -> bool {
    names(old) == 1 && beside(path, Some(old)).is_ok()
}

/// What a link leads to that leads to nothing yet.
fn end_of_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        let Ok(target) = fs::read_link(&path) else {
            break;
        };
        path.pop();
        path.push(target);
    }
    path
}

#[cfg(unix)]
mod system {
    use super::{File, Metadata, Permissions, Write, fs, io};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

    pub(super) fn names(file: &Metadata) -> u64 {
        file.nlink()
    }

    /// Permissions of a file that is new; the umask takes some away.
    pub(super) fn any_by_umask() -> Option<Permissions> {
        Some(Permissions::from_mode(0o666))
    }

    pub(super) fn same_owner(file: &File, old: &Metadata) -> io::Result<()> {
        let new = file.metadata()?;
        if (new.uid(), new.gid()) == (old.uid(), old.gid()) {
            return Ok(());
        }
        fchown(file, Some(old.uid()), Some(old.gid()))
    }

    /// The stream of this program that is this file, as in `--report /dev/stdout >file`. A file that
    /// the shell has opened for the program is not replaced under it.
    pub(super) fn own_stream(file: &Metadata) -> Option<Box<dyn Write>> {
        let is = |path| {
            fs::metadata(path).is_ok_and(|own| (own.dev(), own.ino()) == (file.dev(), file.ino()))
        };
        if is("/dev/stdout") {
            Some(Box::new(io::stdout()))
        } else if is("/dev/stderr") {
            Some(Box::new(io::stderr()))
        } else {
            None
        }
    }
}

#[cfg(not(unix))]
mod system {
    use super::{File, Metadata, Permissions, Write, io};

    pub(super) fn names(_: &Metadata) -> u64 {
        1
    }

    pub(super) fn any_by_umask() -> Option<Permissions> {
        None
    }

    pub(super) fn same_owner(_: &File, _: &Metadata) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn own_stream(_: &Metadata) -> Option<Box<dyn Write>> {
        None
    }
}

use system::{any_by_umask, names, own_stream, same_owner};

//! Where output goes: files that are replaced, pipes that are closed, devices that are full, and
//! terminals of 80 columns.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{assert_narrow, closed_pipe, full, program, snapshot};
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Command lines that print to standard output.
fn printing() -> Vec<Vec<String>> {
    let file = snapshot().display().to_string();
    let lines: [&[&str]; 8] = [
        &["inspect", "--snapshot", &file],
        &["inspect", "--json", "--snapshot", &file],
        &["inspect", "--watch", "1", "--pid", "self"],
        &["record", "--pid", "self"],
        &["--help"],
        &["--version"],
        &["help", "verify"],
        &["inspect", "--help"],
    ];
    let owned = |line: &&[&str]| line.iter().map(|word| (*word).to_owned()).collect();
    lines.iter().map(owned).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The text of a message that may be wrapped.
fn words(bytes: &[u8]) -> String {
    text(bytes).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Fails if a closed pipe is a panic or an error: `head` has seen enough, and nothing is wrong.
#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    for line in printing() {
        let output = program()
            .args(&line)
            .stdout(closed_pipe())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{line:?}: {output:?}");
        assert_eq!(text(&output.stderr), "", "{line:?}");
    }
}

/// Fails if output that is lost is a panic, or goes unnoticed.
#[test]
fn a_full_device_is_an_error() {
    for line in printing() {
        let output = program().args(&line).stdout(full()).output().unwrap();
        let error = words(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line:?}: {error}");
        let expected = "pinfold-linux: cannot write to standard output: No space left on device";
        assert_eq!(error, format!("{expected} (os error 28)"), "{line:?}");
    }
}

/// Fails if a message that cannot be printed changes how the program ends.
#[test]
fn an_error_that_cannot_be_printed_still_has_its_status() {
    for (line, code) in [
        (["inspect", "--snapshot", "/nonexistent"], 1),
        (["inspect", "--snapshot", "--json"], 2),
        (["inspect", "--", "false"], 1),
    ] {
        for stderr in [Stdio::from(full()), Stdio::from(closed_pipe())] {
            let status = program()
                .args(line)
                .stdout(Stdio::null())
                .stderr(stderr)
                .status()
                .unwrap();
            assert_eq!(status.code(), Some(code), "{line:?}");
        }
    }
}

fn record(to: &Path) -> Output {
    let mut command = program();
    command.args(["record", "--pid", "self", "-o"]).arg(to);
    command.output().unwrap()
}

fn assert_recorded(output: &Output, content: &str) {
    assert!(output.status.success(), "{output:?}");
    assert!(content.starts_with("{\n \"format\": \"pinfold-linux snapshot\""));
    assert!(content.ends_with("}\n"));
}

/// Fails if a file is written in place, where whoever reads it meanwhile sees half of it; or if its
/// mode, or the link that leads to it, is lost.
#[test]
fn a_file_is_replaced_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    symlink("file", &link).unwrap();
    let mut reader = File::open(&file).unwrap();
    let output = record(&link);
    assert_recorded(&output, &fs::read_to_string(&file).unwrap());
    assert!(link.is_symlink());
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
    let mut seen = String::new();
    reader.read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "old", "the file was written in place");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

/// Fails if a new file gets another mode than the user's umask gives, or a link to a file that is
/// not there yet is replaced.
#[test]
fn a_new_file_is_made_where_the_link_leads() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    fs::create_dir(dir.path().join("sub")).unwrap();
    symlink("sub/new", &link).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask 027; exec \"$0\" record --pid self -o \"$1\""])
        .arg(env!("CARGO_BIN_EXE_pinfold-linux"))
        .arg(&link);
    let output = command.output().unwrap();
    let file = dir.path().join("sub/new");
    assert_recorded(&output, &fs::read_to_string(&file).unwrap());
    assert!(link.is_symlink());
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
}

/// Fails if a write that ends half-way leaves half a file, or a second file.
#[test]
fn a_failed_write_leaves_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "old").unwrap();
    // A snapshot is longer than the one block that is allowed.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" record --pid self -o \"$1\"";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_pinfold-linux")])
        .arg(&file)
        .output()
        .unwrap();
    let error = words(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("File too large"), "{error}");
    assert!(error.contains(&file.display().to_string()), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// Fails if a pipe or a device becomes a regular file. The device nodes are this test's own.
#[test]
fn what_is_no_regular_file_is_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    let make = |path: &Path, kind: &[&str]| {
        let mut command = Command::new("mknod");
        command.arg(path).args(kind).stderr(Stdio::null());
        command.status().unwrap().success()
    };
    assert!(make(&fifo, &["p"]));
    let (to, reader) = (fifo.clone(), fifo.clone());
    let reader = std::thread::spawn(move || fs::read_to_string(reader).unwrap());
    let output = record(&to);
    assert_recorded(&output, &reader.join().unwrap());
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());

    let (null, full) = (dir.path().join("null"), dir.path().join("full"));
    // An ordinary user may not make devices, and a mount may not have them.
    if !make(&null, &["c", "1", "3"])
        || !make(&full, &["c", "1", "7"])
        || File::open(&null).is_err()
    {
        return;
    }
    assert!(record(&null).status.success());
    let refused = record(&full);
    let error = words(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("No space left on device"), "{error}");
    for node in [null, full] {
        assert!(fs::metadata(node).unwrap().file_type().is_char_device());
    }
}

/// Fails if a link such as `/dev/stdout` or `/dev/fd/1` is replaced by a file, or text that is there
/// already is overwritten. The links are this test's own, not the machine's.
#[test]
fn standard_output_has_other_names() {
    let dir = tempfile::tempdir().unwrap();
    let (link, fds) = (dir.path().join("stdout"), dir.path().join("fd"));
    symlink("/proc/self/fd/1", &link).unwrap();
    symlink("/proc/self/fd", &fds).unwrap();
    for name in [&link, &fds.join("1")] {
        let output = record(name);
        assert_recorded(&output, &text(&output.stdout));

        let path = dir.path().join("file");
        fs::write(&path, "before\n").unwrap();
        let file = File::options().append(true).open(&path).unwrap();
        let mut command = program();
        command.args(["record", "--pid", "self", "-o"]).arg(name);
        let output = command.stdout(file).output().unwrap();
        let content = fs::read_to_string(&path).unwrap();
        let content = content.strip_prefix("before\n").expect("it is kept");
        assert_recorded(&output, content);
    }
    assert!(link.is_symlink() && fds.is_symlink());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
}

/// Fails if `-` is a file of that name, for writing or for reading.
#[test]
fn a_dash_is_standard_output_and_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let output = program()
        .current_dir(dir.path())
        .args(["record", "--pid", "self", "-o", "-"])
        .output()
        .unwrap();
    assert_recorded(&output, &text(&output.stdout));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let read = program()
        .args(["inspect", "--json", "--snapshot", "-"])
        .stdin(File::open(snapshot()).unwrap())
        .output()
        .unwrap();
    assert!(text(&read.stdout).contains("\"pid\":2574"), "{read:?}");
}

/// Fails if a table, a message or a help text is wider than an ordinary terminal.
#[test]
fn lines_are_no_wider_than_80_characters() {
    let file = snapshot().display().to_string();
    let dir = tempfile::tempdir().unwrap();
    let wide = dir.path().join("wide.json");
    fs::write(&wide, many_classes()).unwrap();
    let wide = wide.display().to_string();
    let lines: [&[&str]; 13] = [
        &["inspect", "--snapshot", &file],
        &["inspect", "--policy", "ignore-pins", "--snapshot", &file],
        &["inspect", "--snapshot", &wide],
        &["inspect", "--pid", "self"],
        &["inspect", "--pid", "2"],
        &["--help"],
        &["help"],
        &["inspect", "--help"],
        &["inspect", "-h"],
        &["record", "--help"],
        &["verify", "--help"],
        &["inspect", "--policy", "none", "--snapshot", "x"],
        &["inspect", "--", "/nonexistent/command"],
    ];
    for line in lines {
        let output = program().args(line).output().unwrap();
        let all = text(&output.stdout) + &text(&output.stderr);
        assert_narrow(&line.join(" "), &all);
    }
}

/// A process with a long name, a file with a long name, numbers with many digits, and pages of
/// which many different things become.
fn many_classes() -> String {
    let good = fs::read_to_string(snapshot()).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&good).unwrap();
    let observed = &mut value["observed"];
    observed["process"]["command"] = "a-command-with-a-name".into();
    observed["swap_free_kib"] = 0.into();
    observed["unseen"] = serde_json::json!(["word ".repeat(40), "x".repeat(200)]);
    let frame = |flags: &str, maps: u64, pages: u64| {
        serde_json::json!({"frame":
        {"flags": flags, "maps": maps, "pages": pages, "pmd": false}})
    };
    // Reclaimable, dirty, unevictable, in writeback, anonymous without swap, on no list, hidden.
    let seen = [
        frame("0x828", 1, 1),
        frame("0x838", 1, 1),
        frame("0x40028", 1, 1),
        frame("0x928", 1, 1),
        frame("0x5828", 1, 1),
        frame("0x800", 1, 1),
        frame("0x805828", 1, 512),
        serde_json::json!({"hidden": {"file": true}}),
    ];
    let runs: Vec<_> = seen
        .iter()
        .zip(0u64..)
        .map(|(seen, at)| serde_json::json!({"at": at << 30, "pages": 1u64 << 30, "seen": seen}))
        .collect();
    observed["areas"] = serde_json::json!([{
        "start": 0x10_0000_0000_0000u64,
        "end": 0x20_0000_0000_0000u64,
        "perms": "rw-p",
        "name": format!("/a/{}.so", "long-name-".repeat(12)),
        "vm_flags": [],
        "dirty": "clean",
        "no_lazyfree": true,
        "runs": runs,
    }]);
    value.to_string()
}

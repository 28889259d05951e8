//! The user data of instances: what cloud-init runs when an instance boots, and silently ignores if it does not know it.
//! <https://docs.cloud-init.io/en/latest/explanation/format/index.html>

use std::io::Read as _;

use flate2::read::GzDecoder;

/// EC2's limit for user data, in bytes before Base64.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html>
pub const MAX_BYTES: usize = 16 * 1024;

/// How much of compressed user data is looked at.
const MAX_UNPACKED: u64 = 1024 * 1024;

/// How far into a file cloud-init looks for the header of a MIME message.
const MIME_HEADERS: usize = 4096;

/// What a file may begin with, beside `#!`.
const HEADERS: [&str; 6] =
    ["#cloud-config", "#cloud-boothook", "#include", "#part-handler", "#upstart-job", "## template: jinja"];

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why cloud-init ignores user data, and how to correct it.
pub type Problem = (&'static str, &'static str);

/// Checks that cloud-init runs this user data.
///
/// # Errors
/// Returns why it would ignore it, or could not run it.
pub fn check(data: &[u8]) -> Result<(), Problem> {
    if !data.starts_with(&GZIP) {
        return check_text(data);
    }
    let mut unpacked = Vec::new();
    let read = GzDecoder::new(data).take(MAX_UNPACKED).read_to_end(&mut unpacked);
    read.map_err(|_| ("it is broken gzip", "compress it again"))?;
    check_text(&unpacked)
}

fn check_text(data: &[u8]) -> Result<(), Problem> {
    const BEGINNING: &str = "begin it with #!/bin/sh or #cloud-config, at the first byte";
    if data.trim_ascii().is_empty() {
        return Err(("it is empty", BEGINNING));
    }
    if [&[0xff, 0xfe][..], &[0xfe, 0xff]].iter().any(|mark| data.starts_with(mark)) {
        return Err(("it is UTF-16", "save it as UTF-8 without a byte-order mark"));
    }
    if data.starts_with("\u{feff}".as_bytes()) {
        return Err(("it begins with a byte-order mark", "save it as UTF-8 without a byte-order mark"));
    }
    if is_mime(data) {
        return Ok(());
    }
    let text = std::str::from_utf8(data).map_err(|_| ("it is not UTF-8", "save it as UTF-8"))?;
    if let Some(interpreter) = text.strip_prefix("#!") {
        return check_interpreter(interpreter.split('\n').next().unwrap_or_default());
    }
    if is_header(text) {
        return Ok(());
    }
    if text.trim_start() != text && (text.trim_start().starts_with("#!") || is_header(text.trim_start())) {
        return Err(("blanks come before its first line", "remove them"));
    }
    Err(("its first line is none that cloud-init knows", BEGINNING))
}

fn is_header(text: &str) -> bool {
    HEADERS.iter().any(|header| text.starts_with(header))
}

/// As cloud-init, which looks for no more than this.
fn is_mime(data: &[u8]) -> bool {
    let start = data[..data.len().min(MIME_HEADERS)].to_ascii_lowercase();
    // A script may write such a message.
    !data.starts_with(b"#") && start.windows(13).any(|window| window == b"mime-version:")
}

/// Checks what follows `#!` in a script: Linux takes all of it for a path and an argument.
fn check_interpreter(line: &str) -> Result<(), Problem> {
    if line.ends_with('\r') {
        return Err((
            "its lines end in CR LF, which is no end of a line for Linux",
            "convert it with: dos2unix",
        ));
    }
    if !line.trim_start().starts_with('/') {
        return Err((
            "its first line names no program with its path",
            "begin it with #!/bin/sh, for example",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use rstest::rstest;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[rstest]
    #[case("#!/bin/bash\necho up\n")]
    #[case("#! /usr/bin/env python3\nprint(1)\n")]
    #[case("#cloud-config\npackages: [git]\n")]
    #[case("#cloud-config\r\npackages: [git]\r\n")]
    #[case("#cloud-config-archive\n- type: text/x-shellscript\n")]
    #[case("#include\nhttps://example.com/a\n")]
    #[case("#include-once\nhttps://example.com/a\n")]
    #[case("#cloud-boothook\necho early\n")]
    #[case("#part-handler\n")]
    #[case("#upstart-job\n")]
    #[case("## template: jinja\n#cloud-config\n")]
    #[case("Content-Type: multipart/mixed; boundary=\"x\"\nMIME-Version: 1.0\n\n--x\n")]
    #[case("\nContent-Type: multipart/mixed; boundary=\"x\"\nmime-version: 1.0\n\n--x\n")]
    fn what_cloud_init_runs_is_taken(#[case] text: &str) {
        assert_eq!(check(text.as_bytes()), Ok(()));
        assert_eq!(check(&gzip(text)), Ok(()));
    }

    #[rstest]
    #[case("", "empty")]
    #[case(" \n", "empty")]
    #[case("\n#!/bin/sh\n", "blanks come before")]
    #[case(" #cloud-config\n", "blanks come before")]
    #[case("\u{feff}#!/bin/sh\n", "byte-order mark")]
    #[case("#!/bin/sh\r\necho up\r\n", "CR LF")]
    #[case("#!bash\n", "names no program")]
    #[case("#!\n", "names no program")]
    #[case("# cloud-config\npackages: [git]\n", "its first line")]
    #[case("packages: [git]\n", "its first line")]
    #[case("echo up\n", "its first line")]
    #[case("IyEvYmluL3No\n", "its first line")]
    #[case("<powershell>\n</powershell>\n", "its first line")]
    fn what_cloud_init_ignores_is_refused(#[case] text: &str, #[case] part: &str) {
        for data in [text.as_bytes().to_vec(), gzip(text)] {
            let (problem, _) = check(&data).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn other_encodings_are_refused() {
        let wide: Vec<u8> = "#!/bin/sh\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(check(&[&[0xff, 0xfe], wide.as_slice()].concat()).unwrap_err().0.contains("UTF-16"));
        assert!(check(&wide).is_err());
        assert!(check(b"#!/bin/sh\necho \xe9\n").unwrap_err().0.contains("UTF-8"));
        assert!(check(&gzip("#!/bin/sh\n")[..20]).unwrap_err().0.contains("gzip"));
    }
}

//! `/proc/self/mountinfo`: what is mounted where.
//!
//! Source: proc_pid_mountinfo(5). Nothing here touches a file system.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The kernel's number of the mount.
    pub id: u64,
    /// `major:minor` of the file system; the minor of a FUSE file system names its connection.
    pub device: String,
    pub mount_point: PathBuf,
    /// `nfs4`, `fuse.sshfs`, `ext4`.
    pub fs_type: String,
    /// `/dev/vda1`, `server:/export`.
    pub source: String,
    /// Those of the mount, then those of the file system that it does not repeat.
    pub options: String,
}

impl Mount {
    /// Whether files can be written there.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        !self.options.split(',').any(|option| option == "ro")
    }
}

/// The lines in the file's order; those that are no mounts are left out.
pub fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

/// `36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/root rw,errors=continue`, with
/// any number of optional fields before the dash.
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let device = text(fields.nth(1)?);
    let mount_point = PathBuf::from(OsString::from_vec(unescape(fields.nth(1)?)));
    mount_point.is_absolute().then_some(())?;
    let own_options = text(fields.next()?);
    fields.find(|field| *field == b"-")?;
    let fs_type = text(fields.next()?);
    // An empty source is printed as nothing at all, and the options follow two spaces.
    let source = text(fields.next()?);
    let options = join_options(&own_options, &text(fields.next().unwrap_or_default()));
    Some(Mount { id, device, mount_point, fs_type, source, options })
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(&unescape(field)).into_owned()
}

/// The kernel writes space, tab, newline, backslash and `#` as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'\\').then(|| after.split_first_chunk::<3>()).flatten();
        match escaped.and_then(|(digits, after)| Some((octal(*digits)?, after))) {
            Some((byte, after)) => {
                plain.push(byte);
                rest = after;
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

fn octal(digits: [u8; 3]) -> Option<u8> {
    digits.into_iter().try_fold(0_u8, |value, digit| {
        let digit = matches!(digit, b'0'..=b'7').then(|| digit - b'0')?;
        value.checked_mul(8)?.checked_add(digit)
    })
}

fn join_options(own: &str, of_file_system: &str) -> String {
    let mut joined = own.to_owned();
    for option in of_file_system.split(',').filter(|option| !option.is_empty()) {
        // `rw` of the file system says nothing where the mount itself is `ro`.
        let told = matches!(option, "rw" | "ro") || own.split(',').any(|known| known == option);
        if !told {
            joined.push(',');
            joined.push_str(option);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(line: &str) -> Mount {
        parse(line.as_bytes()).pop().expect("a mount")
    }

    #[test]
    fn a_line_of_the_manual() {
        let mount = one("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue");
        let expected = Mount {
            id: 36,
            device: "98:0".into(),
            mount_point: "/mnt2".into(),
            fs_type: "ext3".into(),
            source: "/dev/root".into(),
            options: "rw,noatime,errors=continue".into(),
        };
        assert_eq!(mount, expected);
    }

    #[test]
    fn optional_fields_may_be_none_or_many() {
        assert_eq!(one("1 0 0:5 / / rw - tmpfs none rw").fs_type, "tmpfs");
        assert_eq!(one("1 0 0:5 / / rw shared:1 master:2 unbindable - xfs /dev/sda rw").source, "/dev/sda");
    }

    #[test]
    fn escapes_are_decoded() {
        let mount = one(r"36 35 0:44 / /mnt/my\040models\011x rw - fuse.sshfs me@host:/a\134b rw,user_id=0");
        assert_eq!(mount.mount_point, PathBuf::from("/mnt/my models\tx"));
        assert_eq!(mount.source, r"me@host:/a\b");
        assert_eq!(unescape(br"\04"), br"\04", "cut short: as it stands");
        assert_eq!(unescape(br"\999\777"), br"\999\777", "no byte: as it stands");
    }

    #[test]
    fn an_empty_source_is_no_option() {
        let mount = one("36 35 0:44 / /mnt rw - tmpfs  rw,size=4k");
        assert_eq!((mount.source.as_str(), mount.options.as_str()), ("", "rw,size=4k"));
    }

    #[test]
    fn what_is_no_mount_is_left_out() {
        assert_eq!(parse(b"\nnonsense\n36 35 98:0 / relative rw - ext3 a rw\n36 35 98:0 / /mnt rw ext3 a rw\n"), []);
    }

    proptest! {
        #[test]
        fn any_bytes_parse(bytes in prop::collection::vec(any::<u8>(), 0..400), line in r"[0-9]{1,3} 1 0:5 / /[a-z\\0-9 ]{0,20} rw - [a-z]{0,5} [a-z ]{0,9}") {
            parse(&bytes);
            parse(line.as_bytes());
        }
    }
}

//! A file that grows, is moved away and made anew, or is emptied in place.
//!
//! What is under the name decides: another file there, once it has something in it, comes next, after the rest of the old
//! one; a file shorter than what was read of it was emptied, and begins anew. A file that is emptied and then longer than
//! before between two looks cannot be told from one that grew: what lies before is missed.

use super::last::last_lines;
use crate::limits::LOG_READ_BYTES;
use crate::lines::Splitter;
use rustix::fs::{Mode, OFlags};
use std::fs::{File, Metadata};
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Follows one name.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    open: Option<Open>,
    splitter: Splitter,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    file: File,
    id: (u64, u64),
    /// Read so far.
    at: u64,
}

impl Follower {
    /// From the beginning of whatever comes under that name.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, open: None, splitter: Splitter::default(), buffer: vec![0; LOG_READ_BYTES] }
    }

    /// Begins with the last lines of what is there; says where they end, and when they were written.
    ///
    /// # Errors
    /// As opening and reading say.
    pub fn begin(&mut self, lines: u32) -> Result<(u64, Metadata)> {
        let mut open = Open::new(&self.path)?;
        let metadata = open.file.metadata()?;
        let end = metadata.len();
        let begin = last_lines(&mut open.file, end, lines)?;
        open.go_to(begin)?;
        self.open = Some(open);
        Ok((end, metadata))
    }

    /// How much of the file has been read.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.at)
    }

    /// Takes what is new, at most a buffer of it; whether there may be more right now.
    ///
    /// # Errors
    /// As opening and reading say; it can be looked again.
    pub fn look(&mut self, mut take: impl FnMut(&[u8], bool)) -> Result<bool> {
        let Some(open) = &mut self.open else {
            self.open = Some(Open::new(&self.path)?);
            return Ok(true);
        };
        // Before the read: whoever writes to the new file has said all in the old one.
        let is_replaced = match std::fs::symlink_metadata(&self.path) {
            Ok(there) => (there.dev(), there.ino()) != open.id && there.len() > 0,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        let read = open.file.read(&mut self.buffer)?;
        if read > 0 {
            open.at += read as u64;
            self.splitter.push(&self.buffer[..read], take);
            return Ok(true);
        }
        if open.file.metadata()?.len() < open.at {
            self.splitter.end(&mut take);
            open.go_to(0)?;
            return Ok(true);
        }
        if is_replaced {
            self.splitter.end(&mut take);
            self.open = None;
        }
        Ok(is_replaced)
    }

    /// Gives what has no line end.
    pub fn end(&mut self, take: impl FnMut(&[u8], bool)) {
        self.splitter.end(take);
    }
}

impl Open {
    /// A file and nothing else: no link that somebody else has put there, no device, nothing that waits.
    fn new(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Error::other("it is not a regular file"));
        }
        Ok(Self { file, id: (metadata.dev(), metadata.ino()), at: 0 })
    }

    fn go_to(&mut self, at: u64) -> Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        self.at = at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::io::Write;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("fl-follow-{}", uuid::Uuid::new_v4()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn log(&self) -> PathBuf {
            self.0.join("a.log")
        }

        fn append(&self, text: &str) {
            let mut file = fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn catch_up(follower: &mut Follower, lines: &mut Vec<String>) {
        while follower.look(|line, _| lines.push(String::from_utf8_lossy(line).into_owned())).unwrap_or(false) {}
    }

    #[derive(Debug, Clone)]
    enum Step {
        Write(usize),
        Rotate,
        Empty,
        Look,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step =
            prop_oneof![(1_usize..9).prop_map(Step::Write), Just(Step::Rotate), Just(Step::Empty), Just(Step::Look),];
        proptest::collection::vec(step, 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        /// Numbered lines, written in pieces that end anywhere; the file is moved away or emptied between any two bytes.
        #[test]
        fn no_line_is_lost_or_told_twice(steps in steps()) {
            let folder = Folder::new();
            let text: String = (0..60).map(|number| format!("{number}\n")).collect();
            let (mut follower, mut lines, mut at, mut rotations) = (Follower::new(folder.log()), Vec::new(), 0, 0);
            for step in steps {
                match step {
                    Step::Write(bytes) => {
                        let end = (at + bytes).min(text.len());
                        folder.append(&text[at..end]);
                        at = end;
                    }
                    Step::Rotate if folder.log().exists() => {
                        // A name that is taken away twice between two looks is another story.
                        catch_up(&mut follower, &mut lines);
                        rotations += 1;
                        fs::rename(folder.log(), folder.0.join(format!("a.log.{rotations}"))).unwrap();
                    }
                    Step::Empty if folder.log().exists() => {
                        catch_up(&mut follower, &mut lines);
                        fs::File::create(folder.log()).unwrap();
                        catch_up(&mut follower, &mut lines);
                    }
                    Step::Look => catch_up(&mut follower, &mut lines),
                    Step::Rotate | Step::Empty => {}
                }
            }
            catch_up(&mut follower, &mut lines);
            follower.end(|line, _| lines.push(String::from_utf8_lossy(line).into_owned()));
            prop_assert_eq!(lines.concat(), text[..at].replace('\n', ""));
        }
    }

    #[test]
    fn what_is_written_to_the_old_file_after_its_move_comes_before_the_new_one() {
        let folder = Folder::new();
        folder.append("one\n");
        let (mut follower, mut lines) = (Follower::new(folder.log()), Vec::new());
        catch_up(&mut follower, &mut lines);
        let mut old = fs::OpenOptions::new().append(true).open(folder.log()).unwrap();
        fs::rename(folder.log(), folder.0.join("a.log.1")).unwrap();
        fs::File::create(folder.log()).unwrap();
        catch_up(&mut follower, &mut lines);
        old.write_all(b"two\n").unwrap();
        catch_up(&mut follower, &mut lines);
        old.write_all(b"three\n").unwrap();
        folder.append("four\n");
        catch_up(&mut follower, &mut lines);
        assert_eq!(lines, ["one", "two", "three", "four"]);
    }

    #[test]
    fn it_begins_with_the_last_lines_and_waits_for_a_file_that_is_not_there() {
        let folder = Folder::new();
        let mut follower = Follower::new(folder.log());
        assert_eq!(follower.begin(2).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(follower.look(|_, _| {}).unwrap_err().kind(), ErrorKind::NotFound);
        folder.append("one\ntwo\nthree\nbegun");
        let mut lines = Vec::new();
        let (end, _) = follower.begin(2).unwrap();
        assert_eq!(end, 19);
        catch_up(&mut follower, &mut lines);
        assert_eq!((follower.at(), &lines[..]), (19, &["three".to_owned()][..]));
    }

    #[test]
    fn only_a_file_is_opened() {
        let folder = Folder::new();
        fs::write(folder.0.join("secret"), "secret\n").unwrap();
        std::os::unix::fs::symlink(folder.0.join("secret"), folder.log()).unwrap();
        assert!(Follower::new(folder.log()).begin(1).is_err(), "a link leads elsewhere");
        fs::remove_file(folder.log()).unwrap();
        fs::create_dir(folder.log()).unwrap();
        let words = Follower::new(folder.log()).begin(1).unwrap_err().to_string();
        assert!(words.contains("not a regular file"), "{words}");
    }
}

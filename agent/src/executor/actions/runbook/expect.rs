//! What a runbook is to achieve, and whether it has: looked at after it has ended, by the executor's own eyes.

use crate::limits::{FILES_LOOK_WITHIN, RUN_EXPECTED_PATHS};
use crate::mask;
use crate::workers::Worker;
use crate::workers::files::{Answer, Compared, Counted, Found, Question};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// As the file has it. Everything in it must be so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Of the last step; those before it must end with 0.
    #[serde(default)]
    pub exit_code: i32,
    #[serde(default)]
    pub paths: Vec<ExpectedPath>,
    pub matches_source: Option<MatchesSource>,
}

/// Files that are to be there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedPath {
    /// A file, or a folder with all that is below it.
    pub path: PathBuf,
    /// Only files count that were changed at most so long ago.
    pub max_age_seconds: Option<u32>,
    pub min_files: Option<u64>,
    pub min_bytes: Option<u64>,
}

/// Each file of the source, as it was when the run began, is at its place in the destination with as many bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchesSource {
    pub source: PathBuf,
    pub destination: PathBuf,
}

impl Expect {
    /// # Errors
    /// In words, with the key.
    pub fn check(&self) -> Result<(), String> {
        if self.paths.len() > RUN_EXPECTED_PATHS {
            return Err(format!("expect.paths: at most {RUN_EXPECTED_PATHS}"));
        }
        let of_paths = self.paths.iter().map(|expected| ("expect.paths: path", &expected.path));
        let of_source = self.matches_source.iter().flat_map(|matches| {
            [
                ("expect.matches_source: source", &matches.source),
                ("expect.matches_source: destination", &matches.destination),
            ]
        });
        match of_paths.chain(of_source).find(|(_, path)| !path.is_absolute()) {
            Some((key, path)) => Err(format!("{key} = {path:?} is not absolute")),
            None => Ok(()),
        }
    }

    /// What is asked, for people.
    pub fn asked(&self, name: &str) -> String {
        let mut asked = vec![format!("{name} ends with {}", self.exit_code)];
        asked.extend(self.paths.iter().map(ExpectedPath::asked));
        asked.extend(self.matches_source.iter().map(MatchesSource::asked));
        asked.join("; ")
    }

    /// Looks at all of it. `began_ms` and `now_ms`: when the run began and ended.
    pub async fn look(&self, began_ms: i64, now_ms: i64) -> Seen {
        let mut seen = Seen::default();
        for expected in &self.paths {
            let since_ms = expected.max_age_seconds.map(|age| now_ms - i64::from(age) * 1_000);
            let answer = ask(&Question::Count { path: expected.path.clone(), since_ms }).await;
            seen.take(expected.judge(&answer));
        }
        if let Some(MatchesSource { source, destination }) = &self.matches_source {
            let (source, destination) = (source.clone(), destination.clone());
            let answer = ask(&Question::Compare { source, destination, until_ms: began_ms }).await;
            seen.take(self.matches_source.as_ref().map_or(Ok(String::new()), |matches| matches.judge(&answer)));
        }
        seen
    }
}

/// What was found: what is as expected, and what is not.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub so: Vec<String>,
    pub not_so: Vec<String>,
}

impl Seen {
    fn take(&mut self, judged: Result<String, String>) {
        match judged {
            Ok(so) => self.so.push(so),
            Err(not_so) => self.not_so.push(not_so),
        }
    }
}

/// A process of its own for each question: what it asks may hang.
async fn ask(question: &Question) -> Answer {
    let mut worker = Worker::of_this_program(&["files-worker"]);
    worker.ask(question, FILES_LOOK_WITHIN).await.unwrap_or_else(|error| Err(error.to_string()))
}

impl ExpectedPath {
    /// Where nothing else is asked of new files, one is.
    fn least_files(&self) -> u64 {
        self.min_files.unwrap_or_else(|| u64::from(self.min_bytes.is_none()))
    }

    fn asked(&self) -> String {
        let mut least = vec![format!("at least {} files", self.least_files())];
        least.extend(self.min_bytes.map(|bytes| format!("{bytes} bytes")));
        let age = self.max_age_seconds.map_or_else(String::new, |age| format!(" of the last {age} s"));
        format!("{} in {}{age}", least.join(" and "), self.path.display())
    }

    /// Pure.
    fn judge(&self, answer: &Answer) -> Result<String, String> {
        let found = match answer {
            Ok(Found::Counted(found)) => *found,
            Ok(Found::Compared(_)) => return Err(unseen(&self.path, "the answer belongs to another question")),
            Err(why) => return Err(unseen(&self.path, why)),
        };
        let Counted { files, bytes } = found;
        let words = format!("{files} files with {bytes} bytes");
        if files >= self.least_files() && bytes >= self.min_bytes.unwrap_or(0) {
            return Ok(format!("{} has {words}", self.path.display()));
        }
        Err(format!("{words}, expected: {}", self.asked()))
    }
}

impl MatchesSource {
    fn asked(&self) -> String {
        format!("each file of {} is in {}", self.source.display(), self.destination.display())
    }

    /// Pure.
    fn judge(&self, answer: &Answer) -> Result<String, String> {
        let Compared { source, destination, missing } = match answer {
            Ok(Found::Compared(found)) => found,
            Ok(Found::Counted(_)) => return Err(unseen(&self.source, "the answer belongs to another question")),
            Err(why) => return Err(unseen(&self.destination, why)),
        };
        let words = format!(
            "{} of {} files, {} of {} bytes of {} are in {}",
            destination.files,
            source.files,
            destination.bytes,
            source.bytes,
            self.source.display(),
            self.destination.display()
        );
        match missing {
            _ if source.files == 0 => Err(format!("{} held no file when the run began", self.source.display())),
            None => Ok(words),
            Some(missing) => {
                let missing = mask::cut(mask::plain(missing.as_bytes()), 200);
                Err(format!("{words}; missing or of another size, among others: {missing:?}"))
            }
        }
    }
}

fn unseen(path: &Path, why: &str) -> String {
    format!("{} could not be looked at: {why}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(files: u64, bytes: u64) -> Answer {
        Ok(Found::Counted(Counted { files, bytes }))
    }

    fn compared(source: u64, destination: u64, missing: Option<&str>) -> Answer {
        let of = |files| Counted { files, bytes: files * 10 };
        let missing = missing.map(str::to_owned);
        Ok(Found::Compared(Compared { source: of(source), destination: of(destination), missing }))
    }

    #[test]
    fn ninety_nine_of_a_hundred_files_are_not_as_expected() {
        let matches = MatchesSource { source: "/outputs".into(), destination: "/backup".into() };
        assert!(matches.judge(&compared(100, 100, None)).is_ok());
        let words = matches.judge(&compared(100, 99, Some("a/42.png"))).expect_err("one is missing");
        assert_eq!(
            words,
            "99 of 100 files, 990 of 1000 bytes of /outputs are in /backup; missing or of another size, among others: \"a/42.png\""
        );
        assert!(matches.judge(&compared(0, 0, None)).expect_err("no source").contains("held no file"));
        assert!(matches.judge(&Err("/backup: Stale file handle".into())).expect_err("hangs").contains("Stale"));
    }

    #[test]
    fn least_files_and_bytes_must_both_be_there() {
        let expected = |min_files, min_bytes| ExpectedPath {
            path: "/backup".into(),
            max_age_seconds: Some(60),
            min_files,
            min_bytes,
        };
        for (min_files, min_bytes, answer, good) in [
            (Some(100), None, counted(100, 0), true),
            (Some(100), None, counted(99, 9_999), false),
            (None, Some(1_000), counted(1, 1_000), true),
            (None, Some(1_000), counted(500, 999), false),
            (Some(2), Some(10), counted(2, 9), false),
            (None, None, counted(1, 0), true),
            (None, None, counted(0, 0), false),
            (Some(0), None, counted(0, 0), true),
            (None, None, Err("/backup: Permission denied".into()), false),
        ] {
            let judged = expected(min_files, min_bytes).judge(&answer);
            assert_eq!(judged.is_ok(), good, "{min_files:?} {min_bytes:?} {answer:?}: {judged:?}");
        }
        let words = expected(Some(100), None).judge(&counted(99, 5)).expect_err("one is missing");
        assert_eq!(words, "99 files with 5 bytes, expected: at least 100 files in /backup of the last 60 s");
    }

    #[test]
    fn paths_are_absolute() {
        let expect = Expect {
            matches_source: Some(MatchesSource { source: "/a".into(), destination: "b".into() }),
            ..Expect::default()
        };
        assert!(expect.check().expect_err("is relative").contains("destination = \"b\" is not absolute"));
    }
}

use super::*;
use std::path::Path;

const CLEAR: &str = r#"
description = "Clears a user's cache"
user = "root"
steps = [["/usr/bin/find", "/srv/cache/{user}", "-mindepth", "1", "-delete"], ["/bin/echo", "{level}"]]

[environment]
TOKEN = "hunter2-hunter2"

[parameters.user]
type = "string"
pattern = "user[0-9]{3}"

[parameters.level]
type = "integer"
min = -1
max = 9
default = "1"
"#;

fn given(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn parameters_fill_whole_arguments() {
    let runbook = Runbook::parse("clear-cache", CLEAR).expect("a runbook");
    let steps = runbook.fill(&given(&[("user", "user001")])).expect("is allowed");
    assert_eq!(steps[0], ["/usr/bin/find", "/srv/cache/user001", "-mindepth", "1", "-delete"]);
    assert_eq!(steps[1], ["/bin/echo", "1"]);
    assert_eq!(runbook.timeout, Duration::from_secs(3_600));
}

#[test]
fn what_an_asker_may_not_give_is_refused() {
    let runbook = Runbook::parse("clear-cache", CLEAR).expect("a runbook");
    let megabyte = "x".repeat(1 << 20);
    for (values, word) in [
        (given(&[]), "the parameter user is missing"),
        (given(&[("user", "user001"), ("force", "1")]), "has no parameter \"force\""),
        (given(&[("user", "user001"), (&megabyte, "1")]), "has no parameter"),
        (given(&[("user", "../../etc")]), "does not match"),
        (given(&[("user", "user001/../..")]), "does not match"),
        (given(&[("user", "user001\0")]), "control character"),
        (given(&[("user", &megabyte)]), "too long"),
        (given(&[("user", "user001"), ("level", "10")]), "whole number from -1 to 9"),
        (given(&[("user", "user001"), ("level", "-1")]), "begins with a dash"),
    ] {
        let error = runbook.fill(&values).expect_err(word);
        assert!(error.contains(word) && error.len() < 300, "{error:.300}");
    }
}

#[test]
fn a_file_that_does_not_hold_together_is_refused_with_the_place() {
    let with = |from: &str, to: &str| CLEAR.replacen(from, to, 1);
    for (text, word) in [
        (with("user = \"root\"", "usr = \"root\""), "line 3: unknown field `usr`"),
        (with("user = \"root\"", ""), "missing field `user`"),
        (with("user = \"root\"", "user = \"0\""), "user: \"0\" is not"),
        (with("user = \"root\"", "user = \"--help\""), "is not the name of an account"),
        (with("\"/bin/echo\"", "\"echo\""), "step 2: its program must be an absolute path"),
        (with("\"/bin/echo\"", "\"/bin/{level}\""), "absolute path without parameters"),
        (with("{level}", "{levl}"), "{levl} is not declared"),
        (with("{level}", "x"), "parameters.level: no step has {level}"),
        (with("{level}", "{level"), "without its }"),
        (with("type = \"integer\"", "type = \"number\""), "unknown variant `number`"),
        (with("default = \"1\"", "default = \"10\""), "parameters.level: default: it is not"),
        (with("TOKEN =", "\"TO KEN\" ="), "environment: \"TO KEN\" is not"),
        (with("[environment]", "[environment"), "line 6: "),
        (with("[environment]", "[expect]\nexit = 1\n[environment]"), "unknown field `exit`"),
        (with("[environment]", "[sandbox]\nnetwrok = false\n[environment]"), "unknown field `netwrok`"),
        (with("user = \"root\"", "user = \"root\"\ntimeout_seconds = 0"), "timeout_seconds = 0 is out of range"),
        (with("user = \"root\"", "user = \"root\"\nworking_dir = \"srv\""), "working_dir: srv is not absolute"),
    ] {
        let error = Runbook::parse("clear-cache", &text).expect_err(word);
        assert!(error.contains(word), "{word}: {error}");
        assert!(!error.contains("hunter2"), "a secret is shown: {error}");
    }
    let no_steps = "description = \"\"\nuser = \"root\"\nsteps = []";
    assert!(Runbook::parse("x", no_steps).expect_err("no steps").contains("steps: 0"));
}

#[test]
fn the_environment_is_not_shown() {
    let runbook = Runbook::parse("clear-cache", CLEAR).expect("a runbook");
    let shown = format!("{runbook:?}");
    assert!(shown.contains("TOKEN") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn runbooks_of_the_example_hold_together() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/workshop/runbooks");
    let files: Vec<_> = std::fs::read_dir(folder).expect("the example").filter_map(Result::ok).collect();
    assert!(files.len() >= 3);
    for file in files {
        let text = std::fs::read_to_string(file.path()).expect("reads");
        Runbook::parse("x", &text).unwrap_or_else(|why| panic!("{}: {why}", file.path().display()));
    }
}

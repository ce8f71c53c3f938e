//! Answers that were given before: for another digest of the same file, and longer ago.

use crate::lab::{Beside, Lab, Run, number};
use hashsweep_sim::{Verdicts, World};
use std::path::Path;

/// A file that the demonstration's service knows.
const MD5: &str = "fed844ff73d2f51b2d7a32b7ff1e3457";
const SHA1: &str = "2951a86d9af6ae22aee8a9de80b173b79dc81d20";
const SHA256: &str = "1c632767cf4b47440ab205c5448e6a141e5aa465fd3122ae44267747f532a85c";

fn service() -> Beside {
    Beside::new(World { verdicts: Verdicts::demo(), rate_limit_rps: None, ..World::default() })
}

fn list(lab: &Lab, url: &str, lines: &[&str], more: &[&str]) -> Run {
    lab.write("list.txt", lines.join("\n"));
    let mut args = vec!["list", "list.txt", "--case", "c.db", "--api-url", url];
    args.extend(more);
    lab.run(args)
}

#[test]
fn three_digests_of_one_file_cost_one() {
    let (lab, service) = (Lab::new(), service());
    list(&lab, &service.url(), &[MD5, SHA256, SHA1], &[])
        .exits(1)
        .says("digests 3 distinct = 0 cached + 2 learned + 0 local + 1 asked + 0 deferred");
    assert_eq!((service.witness().charged(), service.witness().hashes.len()), (1, 1));
    let totals = lab.totals(Path::new("c.db"));
    assert_eq!((number(&totals["verdicts"]["malicious"]), number(&totals["learned"])), (3, 2));

    // Another list of another kind pays nothing either.
    list(&lab, &service.url(), &[SHA256], &[]).exits(1).says("1 cached");
    assert_eq!(service.witness().charged(), 1);
    lab.totals(Path::new("c.db"));
    // Unless it is to be asked again, and then once for the file.
    list(&lab, &service.url(), &[SHA256, SHA1], &["--refresh"]).exits(1).says("1 learned");
    assert_eq!(service.witness().charged(), 2);
    lab.totals(Path::new("c.db"));
}

#[test]
fn how_long_an_answer_counts_is_the_users_to_say() {
    let (lab, service) = (Lab::new(), service());
    let url = service.url();
    list(&lab, &url, &[SHA1], &[]).exits(1);
    lab.write("config/hashsweep/config.toml", "[cache]\nmalicious = '1ms'\n");
    list(&lab, &url, &[SHA1], &[]).exits(1).says("1 asked");
    assert_eq!(service.witness().charged(), 2);
    list(&lab, &url, &[SHA1], &["--offline"]).exits(1).says("1 cached").says("oldest earlier answer 2");
    list(&lab, &url, &[SHA1], &["--offline", "--max-cache-age", "1ms"]).exits(3).says("1 deferred");
    lab.write("config/hashsweep/config.toml", "[cache]\nmalicious = '40d'\n");
    list(&lab, &url, &[SHA1], &[]).exits(1).says("1 cached");
    list(&lab, &url, &[SHA1], &["--max-cache-age", "1ms"]).exits(1).says("1 asked");
    assert_eq!(service.witness().charged(), 3);
    lab.totals(Path::new("c.db"));

    lab.write("config/hashsweep/config.toml", "[cache]\nmalicious = 'for ever'\n");
    list(&lab, &url, &[SHA1], &[]).exits(2).says("read 'malicious' under [cache]");
}

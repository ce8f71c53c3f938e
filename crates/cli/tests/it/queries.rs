//! The queries of docs/case.md, as they stand there, on a case of two machines.

use crate::lab::{Beside, Lab, fixtures};
use hashsweep_sim::{Verdicts, World};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::fmt::Write;
use std::path::Path;

const NOTES: &str = "12f2a16e7286cba91665f9ebfbdf1d1da1196303";

const INVOICE: &str = "2951a86d9af6ae22aee8a9de80b173b79dc81d20";

/// By now the service has changed its mind about ben's notes.
const LATER: &str = "md5,sha1,sha256,status,threat_name,threat_level,trust_factor,scanner_match,scanner_count,first_seen,last_seen
d451407fa566f9ebf4a22463da8fe5a9,12f2a16e7286cba91665f9ebfbdf1d1da1196303,5e16db2d0c6d58a6457e5e0f8bc13e2c9ceeaa07950958058d13c608d3ab189b,MALICIOUS,Text.Trojan.Notes,4,5,31,40,2026-01-01T00:00:00,2026-11-01T00:00:00
";

fn service(verdicts: Verdicts) -> Beside {
    Beside::new(World { verdicts, rate_limit_rps: None, ..World::default() })
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Two machines in one case: one with three sweeps and a verdict that flips, the other with a list that waits.
fn two_machines(lab: &Lab) -> std::path::PathBuf {
    let now = service(Verdicts::demo());
    copy(&fixtures().join("demo"), &lab.path("demo"));
    let fifo = lab.path("demo/pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let online = |service: &Beside, args: &[&str], code| {
        let url = service.url();
        lab.run(args.iter().copied().chain(["--api-url", &url, "-q", "-o", "out.csv"])).exits(code);
    };
    online(&now, &["scan", "demo", "gone", "--missing-root", "skip", "--case", "desk.db"], 3);
    std::fs::remove_file(lab.path("demo/var/www/html/uploads/thumbnail.php")).unwrap();
    online(&now, &["scan", "demo", "gone", "--missing-root", "skip", "--case", "desk.db"], 3);
    lab.write("notes.txt", NOTES);
    let later = service(Verdicts::from_csv(LATER).unwrap());
    online(&later, &["list", "notes.txt", "--refresh", "--case", "desk.db"], 1);

    std::fs::create_dir_all(lab.path("share")).unwrap();
    std::fs::copy(
        lab.path("demo/Users/ana/Downloads/invoice_2026-03.pdf.exe"),
        lab.path("share/invoice.exe"),
    )
    .unwrap();
    std::fs::copy(lab.path("demo/home/ben/.cache/updater/state.bin"), lab.path("share/state.bin")).unwrap();
    online(&now, &["scan", "share", "--case", "server.db"], 1);
    lab.write("hashes.txt", format!("{:040x}\n{:040x}\nno hash\n{INVOICE}\n", 1, 2));
    lab.run(["list", "hashes.txt", "--offline", "--case", "server.db", "-q", "-o", "out.csv"]).exits(3);
    // One machine has to do for two.
    for (case, host) in [("desk.db", "desk"), ("server.db", "server")] {
        let by_hand = Connection::open(lab.path(case)).unwrap();
        by_hand
            .execute_batch(&format!("UPDATE sweep SET host = '{host}'; UPDATE run SET host = '{host}'"))
            .unwrap();
    }
    lab.run(["case", "merge", "all.db", "desk.db", "server.db"]).exits(0);
    lab.run(["case", "verify", "--case", "all.db"]).exits(0);
    lab.path("all.db")
}

/// As `sqlite3 -header` shows them.
fn table(case: &Connection, sql: &str) -> String {
    let mut rows = case.prepare(sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
    let mut text = rows.column_names().collect::<Vec<_>>().join("|") + "\n";
    let n_columns = rows.column_count();
    let mut rows = rows.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let cell = |i| match row.get_ref(i).unwrap() {
            ValueRef::Null => String::new(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Text(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            ValueRef::Real(_) | ValueRef::Blob(_) => panic!("nothing that a terminal shows well"),
        };
        writeln!(text, "{}", (0..n_columns).map(cell).collect::<Vec<_>>().join("|")).unwrap();
    }
    text
}

#[test]
fn the_ten_queries_of_the_documentation_answer_what_they_say() {
    let lab = Lab::new();
    let case = Connection::open_with_flags(two_machines(&lab), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let page = std::fs::read_to_string(fixtures().join("../docs/case.md")).unwrap();
    let mut said = String::new();
    let mut n_queries = 0;
    for section in page.split("\n### ").skip(1) {
        let (title, rest) = section.split_once('\n').unwrap();
        let sql = rest.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next());
        let answer = table(&case, sql.unwrap_or_else(|| panic!("no query below: {title}")));
        assert!(answer.lines().count() > 1, "nothing came of: {title}");
        writeln!(said, "{title}\n{answer}").unwrap();
        n_queries += 1;
    }
    assert_eq!(n_queries, 10);
    assert_eq!(page.matches("```sql").count(), n_queries, "every query stands below a title of its own");
    insta::with_settings!({ filters => [
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "MOMENT"), (r"20\d\d-\d\d-\d\d\|", "DAY|"), (r"\|20\d\d-\d\d-\d\d\|", "|DAY|"),
        (r"(?m)^20\d\d-\d\d\|", "MONTH|"),
    ] }, { insta::assert_snapshot!(said) });
}

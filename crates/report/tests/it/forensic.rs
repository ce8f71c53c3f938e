//! Reports in the forms of other people's tools. Their own readers judge them in `.ci/judge-reports`; here stands
//! what people would see, and what a hostile name must not do.

use crate::hostile;
use crate::page::{record, tally};
use hashsweep_model::{Dates, Place, Row};
use hashsweep_report::{Bodyfile, Circumstances, Dfxml, ListNames, Sarif, Speed, Stix, safe, write_metrics};

fn names() -> ListNames {
    ListNames::new(vec![b"iocs.txt".to_vec()])
}

fn files() -> Vec<Row> {
    let mut rows: Vec<Row> =
        hostile::rows().into_iter().filter(|row| matches!(row.place, Place::Path(_))).collect();
    rows.push(hostile::malicious(b"/srv/a|b <&> ]]> \xEF\xBF\xBE.exe", 9, 4, "T"));
    rows[0].dates = Dates {
        inode: Some(12),
        modified_ns: Some(1_795_359_845_999_999_999),
        changed_ns: Some(-1),
        born_ns: None,
    };
    rows
}

fn path(row: &Row) -> &[u8] {
    let Place::Path(path) = &row.place else { unreachable!("files only") };
    path
}

fn sarif(rows: &[Row]) -> String {
    let mut log = Sarif::new(Vec::new(), names(), &record(), &tally(rows)).unwrap();
    for row in rows {
        log.row(row).unwrap();
    }
    String::from_utf8(log.finish().unwrap()).unwrap()
}

fn stix(rows: &[Row]) -> String {
    let mut bundle = Stix::new(names());
    for row in rows {
        bundle.add(row);
    }
    let mut out = Vec::new();
    bundle.write(&mut out, &record()).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_hostile_sweep_as_sarif() {
    insta::assert_snapshot!(sarif(&hostile::rows()));
    let empty: serde_json::Value = serde_json::from_str(&sarif(&[])).unwrap();
    assert_eq!(empty["runs"][0]["results"], serde_json::json!([]));
}

#[test]
fn a_hostile_sweep_as_stix() {
    let rows = hostile::rows();
    insta::assert_snapshot!(stix(&rows));
    assert_eq!(stix(&rows), stix(&rows));
}

#[test]
fn a_content_at_many_places_is_one_indicator() {
    let rows: Vec<Row> =
        (0..30).map(|i| hostile::malicious(format!("/d/{i:02}").as_bytes(), 1, 5, "T")).collect();
    let bundle: serde_json::Value = serde_json::from_str(&stix(&rows)).unwrap();
    let objects = bundle["objects"].as_array().unwrap();
    let of = |wanted: &str| objects.iter().filter(|object| object["type"] == wanted).count();
    assert_eq!((of("indicator"), of("sighting"), of("file"), of("directory")), (1, 1, 30, 1));
    let sighting = objects.iter().find(|object| object["type"] == "sighting").unwrap();
    assert_eq!(sighting["count"], 30);
    assert!(sighting["description"].as_str().unwrap().ends_with("/d/09 and 20 more"));
}

#[test]
fn a_bodyfile_has_one_row_a_file_and_gives_the_names_back() {
    let rows = files();
    let mut bodyfile = Bodyfile::new(Vec::new());
    for row in &rows {
        bodyfile.file(path(row), row).unwrap();
    }
    let text = String::from_utf8(bodyfile.finish().unwrap()).unwrap();
    let cells: Vec<Vec<&str>> = text.lines().map(|line| line.split('|').collect()).collect();
    assert!(cells.iter().all(|cells| cells.len() == 11), "{text}");
    let back: Vec<Vec<u8>> = cells.iter().map(|cells| safe::decode(cells[1])).collect();
    assert_eq!(back, rows.iter().map(|row| path(row).to_vec()).collect::<Vec<_>>());
    assert_eq!(cells[0][2..], ["12", "0", "0", "0", "1000", "0", "1795359845", "-1", "0"]);
}

#[test]
fn a_hostile_sweep_as_dfxml() {
    let rows = files();
    let record = record();
    let roots: Vec<&[u8]> = record.roots.iter().map(Vec::as_slice).collect();
    let mut document = Dfxml::new(Vec::new(), record.started_at, &roots).unwrap();
    for row in &rows {
        document.file(path(row), row).unwrap();
    }
    insta::assert_snapshot!(String::from_utf8(document.finish().unwrap()).unwrap());
}

#[test]
fn figures_for_prometheus_read_like_this() {
    let rows = files();
    let circumstances = Circumstances {
        name: b"night\"ly\\\n\xFF".to_vec(),
        exit_code: Some(3),
        speed: Some(Speed { n_read: 9, bytes_read: 1 << 60, ..Speed::default() }),
        budget_left: Some(7),
        ..Circumstances::default()
    };
    let mut out = Vec::new();
    write_metrics(&mut out, &record(), &tally(&rows), &circumstances).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

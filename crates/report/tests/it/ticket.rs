//! The ticket's Markdown.

use crate::hostile;
use crate::page::{record, tally};
use hashsweep_model::Row;
use hashsweep_report::{ListNames, Ticket};

fn ticket(rows: &[Row]) -> String {
    let mut ticket = Ticket::new(ListNames::new(vec![b"iocs.txt".to_vec()]));
    for row in rows {
        ticket.add(row);
    }
    let mut out = Vec::new();
    ticket.write(&mut out, &record(), &tally(rows)).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_hostile_sweep_as_a_ticket() {
    let mut rows = hostile::rows();
    rows.push(hostile::malicious(b"a`|`</code><img src=x> @ana [x](http://y)", 9, 4, "``"));
    insta::assert_snapshot!(ticket(&rows));
}

#[test]
fn a_ticket_lists_the_worst_and_counts_the_rest() {
    let mut rows: Vec<Row> =
        (0..3000_u32).map(|i| hostile::malicious(format!("/{i:04}").as_bytes(), 1, 2, "T")).collect();
    rows.push(hostile::malicious(b"/worst", 2, 5, "T"));
    let text = ticket(&rows);
    assert_eq!(text.lines().filter(|line| line.starts_with("- ")).count(), 50);
    assert!(text.contains("### Findings\n\n- **malicious** `/worst`"));
    assert!(text.ends_with("… and 2,951 more, worst first.\n"));
    assert!(ticket(&[]).ends_with("No findings.\n"));
}
